package manifest

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// flightKey names the flight that telegrams belong to.
type flightKey struct {
	flight string
	day    time.Time
	board  string
}

func (k flightKey) String() string {
	return fmt.Sprintf("%s/%s %s", k.flight, strings.ToUpper(k.day.Format("02Jan")), k.board)
}

// telegram is one part of a PNL or ADL.
type telegram struct {
	flightKey
	adl     bool
	part    int
	last    bool   // ended by ENDPNL or ENDADL
	ref     string // association number: the same in all parts
	sent    string // day and time of dispatch, ddhhmm; empty: unknown
	sum     [sha256.Size]byte
	totals  []total
	names   []*name
	at      int64
	order   int // of reading
	started bool
}

func (t *telegram) kind() string {
	if t.adl {
		return "ADL"
	}
	return "PNL"
}

func (t *telegram) String() string {
	return fmt.Sprintf("%s %s part %d", t.kind(), t.flightKey, t.part)
}

// total is a totals by destination element: the seats booked to a destination
// in a class.
type total struct {
	to, class string
	seats     int // stated
	named     int // in the name elements under it
	at        int64
}

// Section of an ADL that a name stands in.
type section byte

const (
	listed  section = iota // of a PNL
	added                  // ADD
	deleted                // DEL
	changed                // CHG
)

var sections = map[string]section{"ADD": added, "DEL": deleted, "CHG": changed}

// maxTravellers bounds what is kept of telegrams until the last was read; a
// large airport has a million departures in three days.
const maxTravellers = 2_000_000

// telegrams are what was read so far.
type telegrams struct {
	flights    map[flightKey][]*telegram
	order      []flightKey
	travellers int
	count      int
}

var (
	flightElement = regexp.MustCompile(`^([A-Z][A-Z0-9]|[0-9][A-Z]|[A-Z]{3}) ?(\d{1,4})([A-Z]?)/(\d{2}[A-Z]{3}) +([A-Z]{3})(?: +PART ?(\d{1,3}))?$`)
	endElement    = regexp.MustCompile(`^END(PNL|ADL|PART ?(\d{1,3}))$`)
	totalsElement = regexp.MustCompile(`^-([A-Z]{3})(\d{1,3})([A-Z])(?:[- ].*)?$`)
	originElement = regexp.MustCompile(`^\.[A-Z0-9]{5,8} +(?:[A-Z0-9/]+ +)?(\d{6})\b`)
	nameElement   = regexp.MustCompile(`^(\d{1,3})(\pL.*)$`)
	association   = regexp.MustCompile(`^ANA/([A-Z0-9]{1,12})$`)
)

// maxNames bounds one part; real ones have some dozens.
const maxNames = 10_000

// maxTelegramLine bounds a line: a telegram's has at most 69 characters, files
// of some systems longer ones.
const maxTelegramLine = 4096

// telegramReader reads the telegrams of one input.
type telegramReader struct {
	r    *Reader
	st   *Stats
	base int64
	line int64

	sent    string
	kind    string    // PNL or ADL was read, its flight element not yet
	now     *telegram // being read
	sum     hash.Hash
	section section
	last    []element // elements of the last name, for .RN/
	behind  int       // lines behind it
}

// readTelegrams reads an input with any number of telegrams; what stands
// between them belongs to transports.
func (r *Reader) readTelegrams(ctx context.Context, in io.Reader, base int64, st *Stats) error {
	t := telegramReader{r: r, st: st, base: base, sum: sha256.New()}
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, maxTelegramLine), maxTelegramLine)
	for s.Scan() {
		t.line++
		if t.line%(1<<14) == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line := strings.TrimRight(strings.TrimLeft(s.Text(), "\x00\x01\x02\x03\ufeff"), " \r\t\x00\x03")
		if err := t.take(line); err != nil {
			return fmt.Errorf("line %d: %w", t.line, err)
		}
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d is longer than %d characters: no telegram", t.line+1, maxTelegramLine)
	case err != nil:
		return err
	case t.now != nil:
		return fmt.Errorf("%s has no end (ENDPART%d or END%s): the file was cut; fetch it again", t.now, t.now.part, t.now.kind())
	case st.Messages == 0:
		return errors.New("holds no telegram that begins with PNL or ADL and a flight")
	}
	return nil
}

// take reads one line.
func (t *telegramReader) take(line string) error {
	if line == "PNL" || line == "ADL" {
		if t.now != nil {
			return fmt.Errorf("%s has no end (ENDPART%d or END%s) before the next telegram", t.now, t.now.part, t.now.kind())
		}
		t.kind = line
		return nil
	}
	if t.kind != "" {
		return t.begin(line)
	}
	if t.now == nil {
		if m := originElement.FindStringSubmatch(line); m != nil {
			t.sent = m[1]
		}
		return nil
	}
	t.sum.Write([]byte(line))
	t.sum.Write([]byte{'\n'})
	if m := endElement.FindStringSubmatch(line); m != nil {
		return t.end(m)
	}
	return t.body(line)
}

// begin reads the flight element.
func (t *telegramReader) begin(line string) error {
	if line == "" {
		return nil
	}
	m := flightElement.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("behind %s stands no flight like VN123/01MAR HAN PART1", t.kind)
	}
	day, month, ok := dayMonth(m[4])
	date, possible := flightDay(day, month, t.r.opt.Now)
	part, err := strconv.Atoi(cmp.Or(m[6], "1"))
	if !ok || !possible || err != nil || part == 0 {
		return errors.New("the flight's date or part number is impossible")
	}
	t.r.telegrams.count++
	t.now = &telegram{
		flightKey: flightKey{flightNumber(m[1], m[2], m[3]), date, m[5]},
		adl:       t.kind == "ADL", part: part, sent: t.sent, at: t.base + t.line, order: t.r.telegrams.count,
	}
	t.kind, t.sent, t.section, t.last = "", "", listed, nil
	t.sum.Reset()
	t.sum.Write([]byte(t.now.String()))
	return nil
}

// end closes the telegram and keeps it.
func (t *telegramReader) end(m []string) error {
	t.finishName()
	now, kept := t.now, &t.r.telegrams
	t.now = nil
	if m[2] != "" {
		if part, err := strconv.Atoi(m[2]); err != nil || part != now.part {
			return fmt.Errorf("%s ends as part %s", now, m[2])
		}
	} else if now.last = true; m[1] != now.kind() {
		return fmt.Errorf("%s ends as %s", now, m[1])
	}
	t.sum.Sum(now.sum[:0])
	t.st.Messages++
	if t.r.opt.elsewhere(now.board) {
		t.r.opt.Note(now.at, "a telegram of another airport is left out")
		return nil
	}
	for _, other := range kept.flights[now.flightKey] {
		if other.sum == now.sum {
			t.r.opt.Note(now.at, "a telegram that was read already is left out")
			return nil
		}
	}
	for _, n := range now.names {
		kept.travellers += len(n.people)
		if n.section != deleted {
			t.st.Travellers += uint64(len(n.people))
		}
	}
	if kept.travellers > maxTravellers {
		return fmt.Errorf("more than %d travellers in telegrams: build a list for each airport", maxTravellers)
	}
	if len(kept.flights[now.flightKey]) == 0 {
		kept.order = append(kept.order, now.flightKey)
	}
	kept.flights[now.flightKey] = append(kept.flights[now.flightKey], now)
	return nil
}

// body reads a line between flight element and end.
func (t *telegramReader) body(line string) error {
	if s, ok := sections[line]; ok {
		if !t.now.adl {
			return fmt.Errorf("%s has a section %s, which only an ADL has", t.now, line)
		}
		t.finishName()
		t.section, t.now.started = s, true
		return nil
	}
	if m := totalsElement.FindStringSubmatch(line); m != nil {
		t.finishName()
		seats, err := strconv.Atoi(m[2])
		t.section, t.now.started = listed, true
		t.now.totals = append(t.now.totals, total{to: m[1], class: m[3], seats: seats, at: t.base + t.line})
		return err
	}
	if m := association.FindStringSubmatch(line); m != nil && !t.now.started {
		t.now.ref = m[1]
		return nil
	}
	switch {
	case !t.now.started || line == "":
		return nil // configuration and availability
	case line[0] == '.':
		t.elements(line)
		return nil
	}
	if m := nameElement.FindStringSubmatch(line); m != nil {
		if t.name(m[1], m[2]); len(t.now.names) > maxNames {
			return fmt.Errorf("%s has more than %d names", t.now, maxNames)
		}
		return nil
	}
	t.r.sink.Reject(t.base+t.line, "element", "is none that a passenger list has")
	return nil
}
