package wire

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"unicode/utf8"
)

// Batches by the thousand and their records are read here without reflection,
// as long as they are written the way this package writes them. Whatever looks
// different in any way is left to encoding/json, which alone says what is
// wrong: this reader accepts nothing that it would refuse.

// scan reads JSON forward. Once something is not as expected, bad is set and
// every further step does nothing.
type scan struct {
	b   []byte
	bad bool
}

// eat takes a text that must come now.
func (s *scan) eat(text string) {
	if s.bad || len(s.b) < len(text) || string(s.b[:len(text)]) != text {
		s.bad = true
		return
	}
	s.b = s.b[len(text):]
}

// next takes a byte if it comes now.
func (s *scan) next(c byte) bool {
	if s.bad || len(s.b) == 0 || s.b[0] != c {
		return false
	}
	s.b = s.b[1:]
	return true
}

// maxDigits keeps a number within 63 bits.
const maxDigits = 18

// number takes a number without sign, fraction or exponent.
func (s *scan) number() (v uint64) {
	n := 0
	for n < len(s.b) && s.b[n] >= '0' && s.b[n] <= '9' {
		v = v*10 + uint64(s.b[n]-'0')
		n++
	}
	if s.bad || n == 0 || n > maxDigits || n > 1 && s.b[0] == '0' {
		s.bad = true
		return 0
	}
	s.b = s.b[n:]
	return v
}

// text takes a string without escapes.
func (s *scan) text() []byte {
	s.eat(`"`)
	if s.bad {
		return nil
	}
	n := bytes.IndexByte(s.b, '"')
	if n < 0 {
		s.bad = true
		return nil
	}
	out := s.b[:n]
	ascii := true
	for _, c := range out {
		s.bad = s.bad || c < ' ' || c == '\\'
		ascii = ascii && c < utf8.RuneSelf
	}
	if s.bad = s.bad || !ascii && !utf8.Valid(out); s.bad {
		return nil
	}
	s.b = s.b[n+1:]
	return out
}

// binary takes a string of base64, or null, and puts what it says behind room.
func (s *scan) binary(room []byte) (out, rest []byte) {
	if len(s.b) > 0 && s.b[0] == 'n' {
		s.eat("null")
		return nil, room
	}
	s.eat(`"`)
	n := bytes.IndexByte(s.b, '"')
	if s.bad || n < 0 || base64.StdEncoding.DecodedLen(n) > cap(room)-len(room) || bytes.IndexByte(s.b[:n], '\n') >= 0 || bytes.IndexByte(s.b[:n], '\r') >= 0 {
		s.bad = true
		return nil, room
	}
	begin := len(room)
	m, err := base64.StdEncoding.Decode(room[begin:cap(room)], s.b[:n])
	if err != nil {
		s.bad = true
		return nil, room
	}
	s.b = s.b[n+1:]
	room = room[:begin+m]
	return room[begin : begin+m : begin+m], room
}

// object calls f with each name of an object; f takes the value.
func (s *scan) object(f func(name string)) {
	s.eat("{")
	if s.next('}') {
		return
	}
	for !s.bad {
		name := s.text()
		s.eat(":")
		if s.bad {
			return
		}
		f(string(name))
		if !s.next(',') {
			break
		}
	}
	s.eat("}")
}

// maxNesting bounds what skip follows; a record has less.
const maxNesting = 8

// skip takes any value.
func (s *scan) skip(depth int) {
	if s.bad || len(s.b) == 0 || depth > maxNesting {
		s.bad = true
		return
	}
	switch s.b[0] {
	case '"':
		s.text()
	case '{':
		s.object(func(string) { s.skip(depth + 1) })
	case '[':
		s.array(func() { s.skip(depth + 1) })
	case 't':
		s.eat("true")
	case 'f':
		s.eat("false")
	case 'n':
		s.eat("null")
	default:
		s.real()
	}
}

// array calls f before each element, which f takes.
func (s *scan) array(f func()) {
	s.eat("[")
	if s.next(']') {
		return
	}
	for !s.bad {
		f()
		if !s.next(',') {
			break
		}
	}
	s.eat("]")
}

// real takes a number with sign and fraction; one with an exponent is not
// looked at here.
func (s *scan) real() {
	s.next('-')
	s.number()
	if s.next('.') {
		n := 0
		for n < len(s.b) && s.b[n] >= '0' && s.b[n] <= '9' {
			n++
		}
		if n == 0 {
			s.bad = true
		}
		s.b = s.b[n:]
	}
}

// scanBatch reads a batch that Encode wrote.
func scanBatch(data []byte) (*Batch, bool) {
	s := scan{b: data}
	// All that is binary in it lies in one piece of memory.
	room := make([]byte, 0, base64.StdEncoding.DecodedLen(len(data)))
	b := new(Batch)
	s.eat(`{"v":`)
	b.V = int(s.number())
	s.eat(`,"kiosk":`)
	b.Kiosk = string(s.text())
	s.eat(`,"epoch":`)
	b.Epoch = string(s.text())
	s.eat(`,"first":`)
	b.First = s.number()
	s.eat(`,"last":`)
	b.Last = s.number()
	s.eat(`,"prev_chain":`)
	b.PrevChain, room = s.binary(room)
	s.eat(`,"chain":`)
	b.Chain, room = s.binary(room)
	s.eat(`,"entries":`)
	b.Entries = make([]Entry, 0, MaxBatchEntries)
	s.array(func() {
		var e Entry
		s.eat(`{"n":`)
		e.Number = s.number()
		s.eat(`,"prev":`)
		e.Prev, room = s.binary(room)
		s.eat(`,"hash":`)
		e.Hash, room = s.binary(room)
		s.eat(`,"body":`)
		e.Body, room = s.binary(room)
		s.eat(`}`)
		if len(b.Entries) == MaxBatchEntries {
			s.bad = true
			return
		}
		b.Entries = append(b.Entries, e)
	})
	s.eat(`,"sig":`)
	b.Sig, _ = s.binary(room)
	s.eat(`}`)
	if s.bad || len(s.b) != 0 {
		return nil, false
	}
	return b, true
}

// appendBatch writes a batch as encoding/json would. The names in it have been
// checked: nothing is to be escaped.
func appendBatch(out []byte, b *Batch) []byte {
	number := func(name string, v uint64) {
		out = strconv.AppendUint(append(out, name...), v, 10)
	}
	binary := func(name string, v []byte) {
		out = append(out, name...)
		if v == nil {
			out = append(out, "null"...)
			return
		}
		out = append(base64.StdEncoding.AppendEncode(append(out, '"'), v), '"')
	}
	number(`{"v":`, uint64(b.V))
	out = append(append(append(out, `,"kiosk":"`...), b.Kiosk...), `","epoch":"`...)
	out = append(out, b.Epoch...)
	number(`","first":`, b.First)
	number(`,"last":`, b.Last)
	binary(`,"prev_chain":`, b.PrevChain)
	binary(`,"chain":`, b.Chain)
	out = append(out, `,"entries":[`...)
	for i := range b.Entries {
		e := &b.Entries[i]
		if i > 0 {
			out = append(out, ',')
		}
		number(`{"n":`, e.Number)
		binary(`,"prev":`, e.Prev)
		binary(`,"hash":`, e.Hash)
		binary(`,"body":`, e.Body)
		out = append(out, '}')
	}
	binary(`],"sig":`, b.Sig)
	return append(out, '}')
}

// Names of a record that scanOutline looks at, as bits: none may come twice.
const (
	sawVersion = 1 << iota
	sawKind
	sawTx
	sawDeleteAt
	sawDecision
	sawPassage
	sawResolution
	sawOutcome
	sawReasons
	sawCode
)

// scanOutline reads of a record what DecodeOutline gives.
func scanOutline(body []byte) (*Record, bool) {
	s := scan{b: body}
	r, seen := new(Record), 0
	once := func(bit int) {
		s.bad = s.bad || seen&bit != 0
		seen |= bit
	}
	s.object(func(name string) {
		switch name {
		case "v":
			once(sawVersion)
			r.V = int(s.number())
		case "kind":
			once(sawKind)
			r.Kind = string(s.text())
		case "tx":
			once(sawTx)
			r.Tx = string(s.text())
		case "delete_at":
			once(sawDeleteAt)
			s.bad = s.bad || r.DeleteAt.UnmarshalText(s.text()) != nil
		case "decision":
			once(sawDecision)
			r.Decision = new(Decision)
			s.decision(r.Decision, once)
		case "passage":
			once(sawPassage)
			r.Passage = new(Passage)
			s.passage(r.Passage, once)
		case "resolution":
			once(sawResolution)
			r.Resolution = new(Resolution)
			s.resolution(r.Resolution, once)
		default:
			s.other(name)
		}
	})
	return r, !s.bad && len(s.b) == 0
}

// other skips what is not looked at. encoding/json takes names in whatever
// case; one that is not in ours is left to it.
func (s *scan) other(name string) {
	for _, c := range []byte(name) {
		if c >= 'A' && c <= 'Z' {
			s.bad = true
		}
	}
	s.skip(0)
}

func (s *scan) decision(d *Decision, once func(int)) {
	s.object(func(name string) {
		switch name {
		case "outcome":
			once(sawOutcome)
			d.Outcome = string(s.text())
		case "reasons":
			once(sawReasons)
			s.array(func() { d.Reasons = append(d.Reasons, s.code()) })
		case "clone_unproven": // has rules of its own, and is rare
			s.bad = true
		default:
			s.other(name)
		}
	})
}

func (s *scan) passage(p *Passage, once func(int)) {
	s.object(func(name string) {
		switch name {
		case "result":
			once(sawOutcome)
			p.Result = string(s.text())
		case "code":
			once(sawCode)
			p.Code = s.code()
		default:
			s.other(name)
		}
	})
}

func (s *scan) resolution(r *Resolution, once func(int)) {
	s.object(func(name string) {
		if name == "outcome" {
			once(sawOutcome)
			r.Outcome = string(s.text())
			return
		}
		s.other(name)
	})
}

func (s *scan) code() uint32 {
	v := s.number()
	s.bad = s.bad || v > 1<<32-1
	return uint32(v)
}
