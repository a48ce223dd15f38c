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
// nothing that is read from then on counts.
type scan struct {
	b   []byte
	at  int
	bad bool
}

// peek gives the byte that comes now; 0 at the end.
func (s *scan) peek() byte {
	if s.at < len(s.b) {
		return s.b[s.at]
	}
	return 0
}

// next takes a byte if it comes now.
func (s *scan) next(c byte) bool {
	if s.at >= len(s.b) || s.b[s.at] != c || s.bad {
		return false
	}
	s.at++
	return true
}

// need takes a byte that must come now.
func (s *scan) need(c byte) {
	if !s.next(c) {
		s.bad = true
	}
}

// eat takes a text that must come now.
func (s *scan) eat(text string) {
	end := s.at + len(text)
	if end > len(s.b) || string(s.b[s.at:end]) != text {
		s.bad = true
		return
	}
	s.at = end
}

// done says whether all was read and was as expected.
func (s *scan) done() bool { return !s.bad && s.at == len(s.b) }

// maxDigits keeps a number within 63 bits.
const maxDigits = 18

// number takes a number without sign, fraction or exponent.
func (s *scan) number() (v uint64) {
	begin := s.at
	for s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9' {
		v = v*10 + uint64(s.b[s.at]-'0')
		s.at++
	}
	if n := s.at - begin; n == 0 || n > maxDigits || n > 1 && s.b[begin] == '0' {
		s.bad = true
	}
	return v
}

// Kinds of bytes in a string, as bits.
const (
	byteBeyond = 1 << iota // not ASCII
	byteBad                // an escape, or what must be escaped
)

// kindOf says of each byte what it is.
var kindOf = func() (kinds [256]byte) {
	for c := range kinds {
		switch {
		case c < ' ' || c == '\\':
			kinds[c] = byteBad
		case c >= utf8.RuneSelf:
			kinds[c] = byteBeyond
		}
	}
	return kinds
}()

// text takes a string without escapes.
func (s *scan) text() []byte {
	s.need('"')
	n := bytes.IndexByte(s.b[s.at:], '"')
	if s.bad = s.bad || n < 0; s.bad {
		return nil
	}
	out, seen := s.b[s.at:s.at+n], byte(0)
	for _, c := range out {
		seen |= kindOf[c]
	}
	s.at += n + 1
	if s.bad = seen&byteBad != 0 || seen&byteBeyond != 0 && !utf8.Valid(out); s.bad {
		return nil
	}
	return out
}

// binary takes a string of base64, or null, and puts what it says behind room.
func (s *scan) binary(room []byte) (out, rest []byte) {
	if s.peek() == 'n' {
		s.eat("null")
		return nil, room
	}
	s.need('"')
	n := bytes.IndexByte(s.b[s.at:], '"')
	if n < 0 || base64.StdEncoding.DecodedLen(n) > cap(room)-len(room) {
		s.bad = true
		return nil, room
	}
	begin, code := len(room), s.b[s.at:s.at+n]
	m, err := base64.StdEncoding.Decode(room[begin:cap(room)], code)
	// The decoder passes over line ends, which are none of JSON's.
	s.bad = s.bad || err != nil || bytes.IndexByte(code, '\n') >= 0 || bytes.IndexByte(code, '\r') >= 0
	s.at += n + 1
	room = room[:begin+m]
	return room[begin : begin+m : begin+m], room
}

// object calls f with each name of an object; f takes the value.
func (s *scan) object(f func(name []byte)) {
	s.need('{')
	if s.next('}') {
		return
	}
	for !s.bad {
		name := s.text()
		s.need(':')
		f(name)
		if !s.next(',') {
			break
		}
	}
	s.need('}')
}

// array calls f before each element, which f takes.
func (s *scan) array(f func()) {
	s.need('[')
	if s.next(']') {
		return
	}
	for !s.bad {
		f()
		if !s.next(',') {
			break
		}
	}
	s.need(']')
}

// maxNesting bounds what skip follows; a record has less.
const maxNesting = 8

// skip takes any value.
func (s *scan) skip(depth int) {
	s.bad = s.bad || depth > maxNesting
	switch c := s.peek(); c {
	case '"':
		s.text()
	case '{', '[':
		s.skipAll(c == '{', c+2, depth) // the closing ones follow in ASCII, with one between
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

// skipAll takes an object or an array.
func (s *scan) skipAll(named bool, end byte, depth int) {
	s.at++
	if s.next(end) {
		return
	}
	for !s.bad {
		if named {
			s.text()
			s.need(':')
		}
		s.skip(depth + 1)
		if !s.next(',') {
			break
		}
	}
	s.need(end)
}

// real takes a number with sign and fraction; one with an exponent is not
// looked at here.
func (s *scan) real() {
	s.next('-')
	s.number()
	if !s.next('.') {
		return
	}
	begin := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	s.bad = s.bad || s.at == begin
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
	b.Entries = make([]Entry, 0, min(MaxBatchEntries, 1+len(data)/EncodedSize(0)))
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
	if !s.done() {
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
