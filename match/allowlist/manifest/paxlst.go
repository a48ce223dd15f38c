package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/match/allowlist"
)

// paxlst reads the PAXLST messages of one input.
type paxlst struct {
	r        *Reader
	st       *Stats
	segments segments
	base     int64

	interchange, group string // control references; empty: none is open
	groups             int    // of the interchange
	inGroup, inUnits   int    // messages of the group, of the interchange
	message            *paxMessage
	inMessage          int  // segments of the message
	grouped, ungrouped bool // messages stand in groups, without groups
}

// paxMessage is the message being read.
type paxMessage struct {
	ref       string
	access    string // common access reference: the same in all parts
	part      int    // 0: in one piece
	final     bool
	begun     bool // BGM was there
	crew      bool
	legs      []leg
	here      *leg // that LOC and DTM belong to
	person    *traveller
	skip      bool      // the person is no passenger
	document  *document // that DTM and LOC belong to
	count     int       // passengers
	stated    int       // CNT+42; -1: none
	departure *departure
	elsewhere bool
	at        int64
}

// leg is one movement of a journey: TDT with its LOC and DTM.
type leg struct {
	carrier, number string
	from            string
	leaves          time.Time
	timed, known    bool
	lastFrom        bool // the LOC just read is where it leaves from
}

// sequence is a list that comes in several messages.
type sequence struct {
	seen    map[int]bool
	final   int
	count   int
	stated  int
	highest int
	at      int64
}

// read takes one input. Whatever is wrong with an envelope ends it: a list of
// half a flight is none.
func (p *paxlst) read(ctx context.Context) error {
	found := false
	for {
		err := p.segments.start()
		if errors.Is(err, errNoInterchange) && found {
			return nil
		}
		if errors.Is(err, errNoInterchange) {
			return errors.New("holds no interchange: no UNB")
		}
		if err != nil {
			return err
		}
		found = true
		if err := p.one(ctx); err != nil {
			return err
		}
	}
}

// one reads an interchange up to its UNZ.
func (p *paxlst) one(ctx context.Context) error {
	p.interchange, p.group, p.groups, p.inUnits = "", "", 0, 0
	p.grouped, p.ungrouped = false, false
	for {
		s, err := p.segments.next()
		if err != nil {
			return err
		}
		if p.segments.n%(1<<14) == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.take(&s); err != nil {
			return fmt.Errorf("segment %d: %w", p.segments.n, err)
		}
		if s.tag == "UNZ" {
			return nil
		}
	}
}

// take reads a segment: the envelope here, what is in a message in content.
func (p *paxlst) take(s *segment) error {
	if p.interchange == "" && s.tag != "UNB" {
		return errors.New("an interchange begins with UNB")
	}
	switch s.tag {
	case "UNB":
		return p.unb(s)
	case "UNG":
		return p.ung(s)
	case "UNH":
		return p.unh(s)
	case "UNT":
		return p.unt(s)
	case "UNE":
		return p.une(s)
	case "UNZ":
		return p.unz(s)
	}
	if p.message == nil {
		return fmt.Errorf("%s stands outside of a message", s.tag)
	}
	p.inMessage++
	return p.content(s)
}

func (p *paxlst) unb(s *segment) error {
	if p.interchange != "" {
		return errors.New("UNB stands inside an interchange: the one before has no UNZ")
	}
	id := s.get(1, 0)
	if p.segments.decode = charsets[id]; p.segments.decode == nil {
		return errors.New("the interchange uses a character set other than UNOA, UNOB, UNOC and UNOW")
	}
	if s.get(11, 0) == "1" {
		return errors.New("the interchange calls itself a test (UNB, test indicator 1)")
	}
	if p.interchange = s.get(5, 0); p.interchange == "" {
		return errors.New("UNB has no control reference")
	}
	return nil
}

func (p *paxlst) ung(s *segment) error {
	switch {
	case p.group != "" || p.message != nil:
		return errors.New("UNG stands inside a group: the one before has no UNE")
	case p.ungrouped:
		return errors.New("UNG stands behind messages without a group")
	case s.get(1, 0) != "PAXLST":
		return errors.New("the group is none of PAXLST messages")
	}
	p.groups++
	p.inGroup, p.grouped = 0, true
	if p.group = s.get(5, 0); p.group == "" {
		return errors.New("UNG has no control reference")
	}
	return nil
}

func (p *paxlst) unh(s *segment) error {
	switch {
	case p.message != nil:
		return errors.New("UNH stands inside a message: the one before has no UNT")
	case p.grouped && p.group == "":
		return errors.New("UNH stands behind a group, in none")
	case s.get(2, 0) != "PAXLST" || s.get(2, 1) != "D":
		return errors.New("the message is no PAXLST of directory D")
	}
	p.ungrouped = p.ungrouped || p.group == ""
	m := &paxMessage{ref: s.get(1, 0), access: s.get(3, 0), stated: -1, at: p.at()}
	if sequence := s.get(4, 0); sequence != "" {
		n, err := strconv.Atoi(sequence)
		if err != nil || n < 1 || n > maxParts {
			return errors.New("UNH has an impossible sequence of transfers")
		}
		m.part, m.final = n, s.get(4, 1) == "F"
	}
	p.message, p.inMessage = m, 1
	p.inGroup++
	p.inUnits++
	p.st.Messages++
	return nil
}

// count reads a control count.
func (s *segment) count(element, component int) (int, error) {
	n, err := strconv.Atoi(s.get(element, component))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s has no count", s.tag)
	}
	return n, nil
}

// control compares a trailer with what was read.
func (s *segment) control(what string, found int, ref, want string) error {
	n, err := s.count(1, 0)
	switch {
	case err != nil:
		return err
	case n != found:
		return fmt.Errorf("%s counts %d %s, and there are %d: something is missing or doubled", s.tag, n, what, found)
	case ref != want:
		return fmt.Errorf("%s has another control reference than the header that it closes", s.tag)
	}
	return nil
}

func (p *paxlst) unt(s *segment) error {
	m := p.message
	if m == nil {
		return errors.New("UNT stands outside of a message")
	}
	p.inMessage++
	if err := s.control("segments", p.inMessage, s.get(2, 0), m.ref); err != nil {
		return err
	}
	if err := p.endPerson(); err != nil {
		return err
	}
	p.message = nil
	return p.r.part(m)
}

func (p *paxlst) une(s *segment) error {
	if p.group == "" || p.message != nil {
		return errors.New("UNE closes no group")
	}
	err := s.control("messages", p.inGroup, s.get(2, 0), p.group)
	p.group = ""
	return err
}

func (p *paxlst) unz(s *segment) error {
	if p.group != "" || p.message != nil {
		return errors.New("UNZ stands inside a group or message")
	}
	if p.grouped {
		return s.control("groups", p.groups, s.get(2, 0), p.interchange)
	}
	return s.control("messages", p.inUnits, s.get(2, 0), p.interchange)
}

func (p *paxlst) at() int64 { return p.base + p.segments.n }

// Parts of lists.
const (
	maxParts     = 99        // sequence of transfers: two digits
	maxSequences = 1_000_000 // lists that may come in parts
)

// part counts a message of a list that comes in several. One in a single piece
// must count its passengers right; parts may count those of all.
func (r *Reader) part(m *paxMessage) error {
	if m.crew {
		return nil
	}
	if m.part == 0 || m.part == 1 && m.final {
		if m.stated >= 0 && m.stated != m.count {
			return fmt.Errorf("CNT counts %d passengers, and there are %d", m.stated, m.count)
		}
		return nil
	}
	key := m.access
	if m.departure != nil {
		key += "+" + m.departure.flight + m.departure.day.Format(time.DateOnly) + m.departure.board
	}
	q := r.parts[key]
	if q == nil {
		if len(r.parts) == maxSequences {
			return errors.New("more lists in several parts than memory is meant for: build a list for each airport")
		}
		q = &sequence{seen: map[int]bool{}, stated: -1, at: m.at}
		r.parts[key] = q
	}
	if q.seen[m.part] {
		r.opt.Note(m.at, "a part of a list came twice")
		return nil
	}
	q.seen[m.part] = true
	q.highest = max(q.highest, m.part)
	q.count += m.count
	if m.final {
		q.final = m.part
	}
	if m.stated >= 0 && m.stated != m.count {
		q.stated = m.stated
	}
	return nil
}

// finishParts wants every part of every list. The F of the last part is left
// out by some senders; then the highest part counts as the last.
func (r *Reader) finishParts() error {
	var bad faults
	all := slices.SortedFunc(maps.Values(r.parts), func(a, b *sequence) int { return cmp.Compare(a.at, b.at) })
	for _, q := range all {
		input, number := Place(q.at)
		where := fmt.Sprintf("%s: list that begins at segment %d", r.inputs[input], number)
		whole := true
		for n := 1; n <= max(q.highest, q.final); n++ {
			if !q.seen[n] {
				bad.add("%s: part %d of %d is missing", where, n, max(q.highest, q.final))
				whole = false
			}
		}
		switch {
		case q.final > 0 && q.highest > q.final:
			bad.add("%s: part %d ends it, and there is a part %d", where, q.final, q.highest)
		case whole && q.stated >= 0 && q.stated != q.count:
			bad.add("%s: CNT counts %d passengers in all parts, and there are %d", where, q.stated, q.count)
		}
	}
	return bad.err()
}

// fault makes the person untakeable; the first fault is told.
func (m *paxMessage) fault(field, reason string) {
	if m.person != nil && m.person.fault == nil {
		m.person.fault = &allowlist.FieldError{Field: field, Reason: reason}
	}
}

// flight names the departure once its segments are complete.
func (m *paxMessage) flight() (*departure, error) {
	if m.departure != nil {
		return m.departure, nil
	}
	l := m.leaving()
	if l == nil {
		return nil, errors.New("no departure stands before the first passenger: TDT with a flight, LOC+125 and DTM+189")
	}
	number := l.carrier + l.number
	if strings.HasPrefix(l.number, l.carrier) {
		number = l.number
	}
	f := flightOnly.FindStringSubmatch(strings.ReplaceAll(number, " ", ""))
	if f == nil {
		return nil, errors.New("TDT names no flight like VN123")
	}
	day := l.leaves.Truncate(24 * time.Hour)
	m.departure = &departure{
		flight: flightNumber(f[1], f[2], f[3]), board: l.from, day: day, at: l.leaves.Sub(day), timed: l.timed,
	}
	return m.departure, nil
}

// leaving gives the leg that leaves the country or, where none says so, the
// first with a departure.
func (m *paxMessage) leaving() *leg {
	var first *leg
	for i := range m.legs {
		l := &m.legs[i]
		if !l.known || l.number == "" {
			continue
		}
		if l.lastFrom {
			return l
		}
		if first == nil {
			first = l
		}
	}
	return first
}
