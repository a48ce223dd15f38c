package wire

import (
	"bytes"
	"unicode/utf8"
)

// Records by the thousand are read here without reflection, as long as they
// are written the way this package writes them. Whatever looks different in any
// way is left to encoding/json, which alone says what is wrong: this reader
// accepts nothing that it would refuse.

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
