// What `@grafana/ui` has no component for, drawn plainly: enough to see whether something is empty, unreadable or has
// the wrong colour. How Grafana itself draws these differs in detail.

const axis = { fill: '#ccccdc', fontSize: 12 };

// Few marks of time under a picture.
function Times({ range, left, width, y }) {
  const marks = [0.1, 0.35, 0.6, 0.85];
  return marks.map((at) => (
    <text key={at} x={left + at * width} y={y} textAnchor="middle" style={axis}>
      {new Date(range.from + at * (range.to - range.from)).toISOString().slice(11, 19)}
    </text>
  ));
}

// States and cells over time, a line for each series.
export function Cells({ data, range, options, merged, theme, Legend, width, height }) {
  const names = data.map((frame) => frame.fields[1].config.displayNameFromDS);
  const left = Math.min(width / 3, 12 + 7 * Math.max(...names.map((name) => name.length)));
  const seen = new Map();
  const legend = options.legend.showLegend ? 28 : 0;
  const line = (height - 22 - legend) / data.length;
  const wide = width - left - 8;
  const drawn = [];
  data.forEach((frame, row) => {
    const [times, values] = frame.fields;
    const step = times.values.length > 1 ? times.values[1] - times.values[0] : range.to - range.from;
    let start = 0;
    values.values.forEach((value, at) => {
      const last = at === values.values.length - 1;
      const gap = last || times.values[at + 1] - times.values[at] > 1.5 * step;
      if (!merged || gap || values.values[at + 1] !== value) {
        const { color, text, suffix } = values.display(value);
        if (values.config.mappings.length) seen.set(text, color);
        const from = Math.max(0, (times.values[start] - range.from) / (range.to - range.from)) * wide;
        const to = Math.min(1, (times.values[at] + step - range.from) / (range.to - range.from)) * wide;
        drawn.push(<rect key={`${row} ${at}`} x={left + from} y={row * line + 1} width={Math.max(1, to - from)} height={Math.max(1, line - 2)} fill={color} fillOpacity={0.75} />);
        if (merged && to - from > 50 && line > 13) {
          drawn.push(<text key={`${row} ${at} word`} x={left + from + 4} y={row * line + line / 2 + 4} style={{ fill: theme.colors.getContrastText(color), fontSize: 12 }}>{text}{suffix}</text>);
        }
        start = at + 1;
      }
    });
  });
  return (
    <>
      <svg width={width} height={height - legend}>
        {names.map((name, row) => line > 9 || row % Math.ceil(10 / line) === 0 ? <text key={row} x={left - 6} y={row * line + line / 2 + 4} textAnchor="end" style={axis}>{name}</text> : null)}
        {drawn}
        <Times range={range} left={left} width={wide} y={height - legend - 6} />
      </svg>
      {legend ? <Legend placement="bottom" displayMode="list" items={[...seen].map(([label, color]) => ({ label, color, yAxis: 1 }))} /> : null}
    </>
  );
}

// Buckets over time: how many fell between one bound and the next.
export function Heat({ data, range, unit, width, height }) {
  const rows = data.map((frame) => ({ bound: Number(frame.fields[1].labels.le.replace('+Inf', 'Infinity')), frame })).sort((a, b) => a.bound - b.bound);
  const left = 60;
  const wide = width - left - 8;
  const line = (height - 22) / rows.length;
  const below = (at, index) => (at ? rows[at - 1].frame.fields[1].values[index] ?? 0 : 0);
  const counts = rows.map(({ frame }, at) => frame.fields[1].values.map((value, index) => Math.max(0, value - below(at, index))));
  const most = Math.max(...counts.flat(), 1e-9);
  return (
    <svg width={width} height={height}>
      {rows.map(({ bound, frame }, at) => {
        const y = (rows.length - 1 - at) * line;
        const times = frame.fields[0].values;
        const step = (times[1] ?? times[0] + 1000) - times[0];
        return (
          <g key={bound}>
            {line > 11 || at % Math.ceil(12 / line) === 0 ? <text x={left - 6} y={y + line / 2 + 4} textAnchor="end" style={axis}>{bound} {unit}</text> : null}
            {counts[at].map((count, index) => count > 1e-9 ? (
              <rect key={index} x={left + ((times[index] - range.from) / (range.to - range.from)) * wide} y={y} width={Math.max(1, (step / (range.to - range.from)) * wide)} height={Math.max(1, line - 1)}
                fill={`hsl(25, 90%, ${Math.round(20 + 55 * Math.sqrt(count / most))}%)`} />
            ) : null)}
          </g>
        );
      })}
      <Times range={range} left={left} width={wide} y={height - 6} />
    </svg>
  );
}

// Half a circle.
export function Dial({ values, width, height }) {
  const w = width / values.length;
  const size = Math.min(w / 2.4, height / 1.5);
  const arc = (from, to, colour) => {
    const point = (at) => `${-size * Math.cos(Math.PI * at)} ${-size * Math.sin(Math.PI * at)}`;
    return <path d={`M ${point(from)} A ${size} ${size} 0 0 1 ${point(to)}`} stroke={colour} strokeWidth={size / 5} fill="none" />;
  };
  return (
    <svg width={width} height={height}>
      {values.map(({ display, field, name }, at) => {
        const low = field.min ?? 0;
        const share = Math.min(1, Math.max(0.001, (display.numeric - low) / ((field.max ?? 1) - low)));
        return (
          <g key={at} transform={`translate(${w * (at + 0.5)} ${height * 0.8})`}>
            {arc(0.001, 0.999, '#2c3235')}
            {arc(0.001, share, display.color)}
            <text textAnchor="middle" y={-size / 8} style={{ fill: display.color, fontSize: size / 2.4 }}>{display.text}{display.suffix}</text>
            <text textAnchor="middle" y={16} style={axis}>{values.length > 1 ? display.title ?? name : ''}</text>
          </g>
        );
      })}
    </svg>
  );
}

// Shares, with their names beside.
export function Pie({ data, theme, Legend, width, height }) {
  const parts = data.map((frame, at) => {
    const field = frame.fields[1];
    const own = field.config.color;
    const colour = own?.mode === 'fixed' ? own.fixedColor : theme.visualization.palette[at % theme.visualization.palette.length];
    return { label: field.config.displayNameFromDS, value: field.values.at(-1), color: theme.visualization.getColorByName(colour), yAxis: 1 };
  });
  const whole = parts.reduce((sum, part) => sum + part.value, 0) || 1;
  const radius = Math.min(width / 4, height / 2) - 6;
  let turned = 0;
  return (
    <div style={{ display: 'flex', width, height }}>
      <svg width={width / 2} height={height}>
        {parts.map(({ label, value, color }) => {
          const share = value / whole;
          const around = 2 * Math.PI * radius * 0.75;
          const ring = <circle key={label} r={radius * 0.75} cx={width / 4} cy={height / 2} fill="none" stroke={color} strokeWidth={radius / 2}
            strokeDasharray={`${share * around} ${around}`} strokeDashoffset={-turned * around} />;
          turned += share;
          return ring;
        })}
      </svg>
      <Legend placement="right" displayMode="list" items={parts} />
    </div>
  );
}
