//! `top`: the page's cards in a terminal, live.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Modifier, Style};
use ratatui_core::terminal::Terminal;
use ratatui_core::text::Line;
use ratatui_core::widgets::Widget;
use ratatui_crossterm::CrosstermBackend;
use ratatui_crossterm::crossterm::cursor::Show;
use ratatui_crossterm::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui_crossterm::crossterm::execute;
use ratatui_crossterm::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};

use super::server::ServerArgs;
use super::{Exit, complain, look, print, runtime};
use crate::ask::{Failure, Server};
use crate::view::Snapshot;
use crate::view::screen::{self, Order, Row};

/// From one look to the next.
const EACH: Duration = Duration::from_secs(1);
/// How long a key is waited for before the screen is looked at again.
const KEY: Duration = Duration::from_millis(100);
/// Columns where nobody says how many there are.
const WIDTH: usize = 80;
/// The keys, for the last line.
const KEYS: &str = " q quit  ↑↓ choose  enter open  / filter  s sort  a acknowledge";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Print one screen and end: for scripts. The exit code is that of `status`.
    #[arg(long)]
    once: bool,
}

pub(super) fn top(args: &Args) -> Exit {
    let Some(server) = args.server.open() else { return Exit::Usage };
    let Some(runtime) = runtime() else { return Exit::Failed };
    let first = match runtime.block_on(server.snapshot()) {
        Ok(snapshot) => snapshot,
        Err(failure) => {
            complain(&format!(
                "{}\n  hint: the agent has to run; name another one with --server",
                failure.why()
            ));
            return if args.once { super::status::UNKNOWN } else { Exit::Failed };
        }
    };
    if args.once {
        let code = super::status::exit(first.verdict.status);
        return match print(once(&first).as_bytes()) {
            Exit::Fine => code,
            failed => failed,
        };
    }
    if !std::io::stdout().is_terminal() {
        complain(&"this is no terminal; print one screen with --once");
        return Exit::Usage;
    }
    let (wanted, asked) = channel();
    let (told, seen) = channel();
    let looker = std::thread::Builder::new().name("looks".to_owned());
    let started = looker.spawn(move || runtime.block_on(ask(&server, &asked, &told)));
    if let Err(error) = started {
        complain(&format!("cannot start: {error}"));
        return Exit::Failed;
    }
    match shown(first, &wanted, &seen) {
        Ok(()) => Exit::Fine,
        Err(error) => {
            complain(&format!("the terminal cannot be used: {error}"));
            Exit::Failed
        }
    }
}

/// One screen as text.
fn once(snapshot: &Snapshot) -> String {
    let width = size().map_or(WIDTH, |(columns, _)| usize::from(columns).max(WIDTH));
    look::text(&screen::once(snapshot, width))
}

/// What the screen asks for.
enum ScreenRequest {
    /// To acknowledge this incident.
    Acknowledge(String),
}

/// What comes of it.
enum ScreenUpdate {
    Snapshot(Box<Snapshot>),
    /// Why there is none.
    Absent(String),
    /// What was done.
    Done(String),
}

/// Asks the agent each second, and does what is wanted, until the screen is gone.
async fn ask(server: &Server, wanted: &Receiver<ScreenRequest>, told: &Sender<ScreenUpdate>) {
    loop {
        while let Ok(ScreenRequest::Acknowledge(id)) = wanted.try_recv() {
            let by = std::env::var("USER").unwrap_or_else(|_| "unnamed".to_owned());
            let form = form_urlencoded::Serializer::new(String::new()).append_pair("by", &by).finish();
            let done = match server.call(&format!("/api/v1/incidents/{id}/ack"), Some(form)).await {
                Ok(_) => format!("acknowledged by {by}"),
                Err(failure) => failure.why().to_owned(),
            };
            if told.send(ScreenUpdate::Done(done)).is_err() {
                return;
            }
        }
        let news = match server.snapshot().await {
            Ok(snapshot) => ScreenUpdate::Snapshot(Box::new(snapshot)),
            Err(
                Failure::Absent(why) | Failure::Question(why) | Failure::Missing(why) | Failure::Server(why),
            ) => ScreenUpdate::Absent(why),
        };
        if told.send(news).is_err() {
            return;
        }
        tokio::time::sleep(EACH).await;
    }
}

/// Gives the terminal back as it was, whatever happens.
struct Screen;

impl Screen {
    fn open() -> std::io::Result<Self> {
        enable_raw_mode()?;
        let screen = Self;
        execute!(std::io::stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(execute!(std::io::stdout(), LeaveAlternateScreen, Show));
        drop(disable_raw_mode());
        drop(std::io::stdout().flush());
    }
}

fn shown(
    first: Snapshot,
    wanted: &Sender<ScreenRequest>,
    told: &Receiver<ScreenUpdate>,
) -> std::io::Result<()> {
    let _screen = Screen::open()?;
    let mut terminal = Terminal::new(CrosstermBackend::new(std::io::stdout()))?;
    terminal.clear()?;
    let mut view = View { snapshot: first, ..View::default() };
    loop {
        while let Ok(news) = told.try_recv() {
            view.hear(news);
        }
        terminal.draw(|frame| view.draw(frame.area(), frame.buffer_mut()))?;
        if !event::poll(KEY)? {
            continue;
        }
        if let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
            && !view.press(key, wanted)
        {
            return Ok(());
        }
    }
}

/// What is on the screen.
#[derive(Default)]
struct View {
    snapshot: Snapshot,
    /// Why the agent does not answer, if it does not.
    absent: Option<String>,
    /// What was done last.
    done: Option<String>,
    /// The row that is chosen.
    chosen: usize,
    /// Lines above the screen, of the list or of what is open.
    scrolled: usize,
    /// The row that is open.
    open: Option<String>,
    filter: String,
    filtering: bool,
    order: Order,
}

impl View {
    fn hear(&mut self, news: ScreenUpdate) {
        match news {
            ScreenUpdate::Snapshot(snapshot) => {
                // The chosen one stays chosen where others come and go.
                let key = self.rows().get(self.chosen).map(Row::key);
                self.snapshot = *snapshot;
                self.absent = None;
                let place = self.rows().iter().position(|row| Some(row.key()) == key);
                self.chosen = place.unwrap_or(self.chosen);
            }
            ScreenUpdate::Absent(why) => self.absent = Some(why),
            ScreenUpdate::Done(done) => self.done = Some(done),
        }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        screen::rows(&self.snapshot, &self.filter, self.order)
    }

    /// Does what a key says; false ends.
    fn press(&mut self, key: KeyEvent, wanted: &Sender<ScreenRequest>) -> bool {
        self.done = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return false;
        }
        if self.filtering {
            match key.code {
                KeyCode::Enter => self.filtering = false,
                KeyCode::Esc => (self.filtering, self.filter) = (false, String::new()),
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Char(letter) => self.filter.push(letter),
                _ => {}
            }
            self.chosen = 0;
            return true;
        }
        let last = self.rows().len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Esc | KeyCode::Backspace if self.open.is_some() => {
                (self.open, self.scrolled) = (None, 0);
            }
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Down | KeyCode::Char('j') if self.open.is_some() => self.scrolled += 1,
            KeyCode::Up | KeyCode::Char('k') if self.open.is_some() => {
                self.scrolled = self.scrolled.saturating_sub(1);
            }
            KeyCode::Down | KeyCode::Char('j') => self.chosen = (self.chosen + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = last,
            KeyCode::Enter => {
                self.open = self.rows().get(self.chosen).map(Row::key);
                self.scrolled = 0;
            }
            KeyCode::Char('/') => self.filtering = true,
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('a') => match self.rows().get(self.chosen) {
                Some(Row::Incident(incident)) => {
                    drop(wanted.send(ScreenRequest::Acknowledge(incident.id.clone())));
                    self.done = Some("acknowledging…".to_owned());
                }
                _ => self.done = Some("choose an incident to acknowledge it".to_owned()),
            },
            _ => {}
        }
        true
    }

    fn draw(&mut self, area: Rect, buffer: &mut Buffer) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        let mut lines = screen::head(&self.snapshot, width);
        // The list has half of the screen at least.
        lines.truncate((height / 2).max(1));
        lines.push(Line::raw(""));
        let room = height.saturating_sub(lines.len() + 1);
        lines.extend(self.middle(width, room));
        lines.resize(height.saturating_sub(1), Line::raw(""));
        lines.push(self.foot(width));
        for (place, line) in lines.iter().enumerate().take(height) {
            let at = Rect { y: area.y + u16::try_from(place).unwrap_or(u16::MAX), height: 1, ..area };
            line.render(at, buffer);
        }
    }

    /// The list, or what is open, as far as there is room.
    fn middle(&mut self, width: usize, room: usize) -> Vec<Line<'static>> {
        let rows = screen::rows(&self.snapshot, &self.filter, self.order);
        let open = self.open.as_ref().and_then(|key| rows.iter().find(|row| row.key() == *key));
        if let Some(Row::Card(card)) = open {
            let lines = screen::whole(card, self.snapshot.at, width);
            self.scrolled = self.scrolled.min(lines.len().saturating_sub(room));
            return lines.into_iter().skip(self.scrolled).take(room).collect();
        }
        self.chosen = self.chosen.min(rows.len().saturating_sub(1));
        let mut lines = Vec::new();
        let mut at = 0;
        for (place, row) in rows.iter().enumerate() {
            if place == self.chosen {
                at = lines.len();
            }
            lines.push(screen::row(*row, place == self.chosen, self.snapshot.at));
            if let Row::Card(card) = row {
                lines.extend(screen::cells(card));
            }
        }
        if rows.is_empty() {
            lines.push(Line::raw(" nothing has this in its name; esc shows everything"));
        }
        // The chosen row and its channels are on the screen.
        let skipped = (at + 2).saturating_sub(room);
        lines.into_iter().skip(skipped).take(room).collect()
    }

    fn foot(&self, width: usize) -> Line<'static> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if let Some(why) = &self.absent {
            let text = format!(" no answer, this is what was seen before: {why}");
            return Line::styled(text.chars().filter(|c| !c.is_control()).collect::<String>(), bold);
        }
        if self.filtering {
            return Line::styled(format!(" filter: {}▏ enter keeps it, esc ends it", self.filter), bold);
        }
        if let Some(done) = &self.done {
            return Line::styled(format!(" {done}"), bold);
        }
        if self.open.is_some() {
            return Line::styled(" esc back  ↑↓ scroll  q quit", Style::new().add_modifier(Modifier::DIM));
        }
        let only = if self.filter.is_empty() { String::new() } else { format!(" only \"{}\" ", self.filter) };
        let keys = format!("{only}{KEYS}  by {}", self.order.as_str());
        let text: String = keys.chars().take(width).collect();
        Line::styled(text, Style::new().add_modifier(Modifier::DIM))
    }
}
