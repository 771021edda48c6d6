// One dashboard as a page: places as Grafana's grid has them, every row open. Which one stands behind "?board=".
// Lines, numbers, bars and tables are Grafana's own components; the rest is in `plain.jsx`.
import { Component } from 'react';
import { createRoot } from 'react-dom/client';
import { FieldType, ThemeContext, VizOrientation, createTheme, dateTime, getDisplayProcessor, getFieldDisplayValues, standardTransformers, toDataFrame } from '@grafana/data';
import { BarGauge, BigValue, GlobalStyles, PanelChrome, TimeSeries, VizLegend, VizRepeater } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { of } from 'rxjs';
import { Cells, Dial, Heat, Pie } from './plain.jsx';

const theme = createTheme({ colors: { mode: 'dark' } });
const zone = 'utc';
const asked = new URLSearchParams(location.search);
// No window of Chromium is as narrow as a phone.
const across = Number(asked.get('width'));

// The name of a series as the data source makes it.
function named(target, labels) {
  if (target.legendFormat && target.legendFormat !== '__auto') {
    // One machine, so that it is not named.
    return target.legendFormat.replace(/\$\{(shown_machine|machine_first)\}/, '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => labels[label] ?? '');
  }
  const words = Object.entries(labels).filter(([name]) => name !== '__name__').map(([name, value]) => `${name}="${value}"`);
  return words.length ? `{${words.join(', ')}}` : target.expr;
}

// Defaults and overrides, which Grafana keeps in a registry that only it has.
function configured(panel, field, frame, index) {
  const { defaults, overrides } = panel.fieldConfig;
  const config = { ...structuredClone(defaults), ...field.config, custom: structuredClone(defaults.custom ?? {}) };
  field.config = config;
  config.displayName = config.displayName?.replace(/\$\{__field\.labels\.(\w+)\}/g, (_, label) => field.labels?.[label] ?? '').replace('${shown_machine}', '');
  const name = config.displayNameFromDS ?? field.name;
  for (const { matcher, properties } of overrides) {
    const matched = {
      byName: () => matcher.options === name,
      byRegexp: () => new RegExp(matcher.options.replace(/^\/|\/$/g, '')).test(name),
      byType: () => matcher.options === field.type,
      byFrameRefID: () => matcher.options === frame.refId,
    }[matcher.id];
    const hit = matched();
    for (const { id, value } of hit && field.type !== FieldType.time ? properties : []) {
      const keys = id.split('.');
      const last = keys.pop();
      keys.reduce((at, key) => (at[key] ??= {}), config)[last] = value;
    }
  }
  // A threshold without a number is the lowest.
  for (const step of config.thresholds?.steps ?? []) step.value ??= -Infinity;
  const known = field.values.filter((value) => Number.isFinite(value));
  const [min, max] = [config.min ?? Math.min(...known, 0), config.max ?? Math.max(...known, 0)];
  field.state = { seriesIndex: index, range: { min, max, delta: max - min } };
  field.display = getDisplayProcessor({ field, theme, timeZone: zone });
  field.getLinks = () => [];
  return field;
}

function frames(panel) {
  const all = [];
  panel.targets.forEach((target, at) => {
    for (const series of panel.results[at]) {
      const samples = series.values ?? [series.value];
      const frame = toDataFrame({
        refId: target.refId,
        fields: [
          { name: 'Time', type: FieldType.time, values: samples.map(([time]) => time * 1000), config: {} },
          {
            name: 'Value', type: FieldType.number, labels: series.metric,
            // What is no number is a gap, as in Grafana's own panel.
            values: samples.map(([, value]) => (Number.isFinite(Number(value)) ? Number(value) : null)),
            config: { displayNameFromDS: named(target, series.metric) },
          },
        ],
      });
      configured(panel, frame.fields[1], frame, all.length);
      all.push(frame);
    }
  });
  // Where nothing says how far a scale goes, the largest of all is its end.
  const most = Math.max(...all.flatMap((frame) => frame.fields[1].values.filter((value) => value !== null)), 0);
  for (const frame of all) {
    const [, field] = frame.fields;
    if (panel.type === 'bargauge' && field.config.max === undefined) configured(panel, Object.assign(field, { config: { ...field.config, max: most } }), frame, field.state.seriesIndex);
  }
  return all;
}

// What Grafana's own `merge` and our `organize` make of instant queries: one column a query, and one row for what
// is the same in all labels that all of them have.
function table(panel) {
  const several = panel.targets.length > 1;
  const asked = panel.results.map((result, at) => {
    const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
    return toDataFrame({
      refId: panel.targets[at].refId,
      fields: result.length === 0 ? [] : [
        ...labels.map((label) => ({ name: label, type: FieldType.string, values: result.map(({ metric }) => metric[label] ?? null), config: {} })),
        {
          name: several ? `Value #${panel.targets[at].refId}` : 'Value', type: FieldType.number,
          values: result.map(({ value }) => Number(value[1])), config: {},
        },
      ],
    });
  });
  let merged = asked[0];
  if (several) standardTransformers.mergeTransformer.operator({}, {})(of(asked)).subscribe(([whole]) => { merged = whole; });
  const { excludeByName, indexByName, renameByName } = panel.transformations.find((of) => of.id === 'organize').options;
  const place = ({ name }) => indexByName[name] ?? 100;
  const frame = toDataFrame({
    fields: merged.fields.filter((field) => !excludeByName[field.name]).sort((a, b) => place(a) - place(b)).map((field) => ({
      name: renameByName[field.name] ?? field.name, type: field.type, values: [...field.values], config: {},
    })),
  });
  frame.fields.forEach((field, index) => configured(panel, field, frame, index));
  return frame;
}

function Picture({ panel, board, width, height }) {
  const data = panel.type === 'table' ? [table(panel)] : frames(panel);
  const empty = data.length === 0 || data[0].length === 0;
  if (empty) return <div className="nothing">{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  const { options } = panel;
  const range = { from: dateTime(board.range.from), to: dateTime(board.range.to), raw: { from: 'now-5m', to: 'now' } };
  const shown = () => getFieldDisplayValues({
    sparkline: options.graphMode === 'area', fieldConfig: { defaults: {}, overrides: [] }, reduceOptions: options.reduceOptions, replaceVariables: (text) => text, theme, data, timeZone: zone,
  });
  const place = { width, height };
  switch (panel.type) {
    case 'timeseries':
      return <TimeSeries frames={data} timeRange={range} timeZone={zone} legend={options.legend} options={options} {...place} />;
    case 'stat':
      return <VizRepeater {...place} source={data} renderCounter={0} autoGrid orientation={VizOrientation.Auto} getValues={shown}
        renderValue={({ value, width: w, height: h, count }) => <BigValue value={value.display} sparkline={value.sparkline} width={w} height={h} count={count} theme={theme}
          colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={options.textMode} wideLayout />} />;
    case 'bargauge':
      return <VizRepeater {...place} source={data} renderCounter={0} orientation={options.orientation} getValues={shown} itemSpacing={8}
        minVizHeight={options.minVizHeight} maxVizHeight={options.maxVizHeight}
        renderValue={({ value, width: w, height: h, orientation }) => <BarGauge value={value.display} field={value.field} width={w} height={h} theme={theme}
          orientation={orientation} displayMode={options.displayMode} showUnfilled={options.showUnfilled} valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement} display={value.view?.getFieldDisplayProcessor(value.colIndex)} />} />;
    case 'table':
      return <TableNG data={data[0]} cellHeight={options.cellHeight} noHeader={!options.showHeader} sortBy={options.sortBy} sortByBehavior="managed" timeRange={range} fieldConfig={{ defaults: {}, overrides: [] }} {...place} />;
    case 'gauge':
      return <Dial values={shown()} {...place} />;
    case 'state-timeline':
    case 'status-history':
      return <Cells data={data} range={board.range} options={options} merged={panel.type === 'state-timeline'} theme={theme} Legend={VizLegend} {...place} />;
    case 'heatmap':
      return <Heat data={data} range={board.range} unit={options.yAxis.unit} {...place} />;
    case 'piechart':
      return <Pie data={data} theme={theme} Legend={VizLegend} {...place} />;
    default:
      return <div className="fault">{panel.type}</div>;
  }
}

class Guard extends Component {
  state = {};
  static getDerivedStateFromError(error) {
    return { error };
  }
  render() {
    return this.state.error ? <div className="fault">{String(this.state.error.stack)}</div> : this.props.children;
  }
}

// Every panel and heading with its place, closed rows opened.
function laid(board) {
  const all = [];
  if (across < 769) {
    let y = 0;
    for (const one of board.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])])) {
      all.push({ ...one, gridPos: { x: 0, y, w: 24, h: one.gridPos.h } });
      y += one.gridPos.h;
    }
    return all;
  }
  let lower = 0;
  for (const panel of board.panels) {
    all.push({ ...panel, gridPos: { ...panel.gridPos, y: panel.gridPos.y + lower } });
    const inner = panel.panels ?? [];
    const first = Math.min(...inner.map((one) => one.gridPos.y));
    inner.forEach((one) => all.push({ ...one, gridPos: { ...one.gridPos, y: one.gridPos.y - first + panel.gridPos.y + 1 + lower } }));
    if (inner.length) lower += Math.max(...inner.map((one) => one.gridPos.y + one.gridPos.h)) - first;
  }
  return all;
}

function Page({ board }) {
  const wide = across - 32;
  const column = (wide + 8) / 24;
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <h1>{board.title}</h1>
      <div style={{ position: 'relative', marginLeft: 16 }}>
        {laid(board).map((panel) => {
          const { x, y, w, h } = panel.gridPos;
          const place = { left: x * column, top: y * 38, width: w * column - 8, height: h * 38 - 8 };
          if (panel.type === 'row') return <h2 key={panel.id} style={place}>▾ {panel.title}</h2>;
          return (
            <div key={panel.id} className="panel" style={place}>
              <PanelChrome title={panel.title} description={panel.description} width={place.width} height={place.height}>
                {(width, height) => <Guard><Picture panel={panel} board={board} width={width} height={height} /></Guard>}
              </PanelChrome>
            </div>
          );
        })}
      </div>
    </ThemeContext.Provider>
  );
}

const boards = await (await fetch('boards.json')).json();
const name = asked.get('board');
createRoot(document.getElementById('root')).render(<Page board={boards[name]} />);
