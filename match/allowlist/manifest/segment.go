package manifest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of an interchange.
const (
	maxSegment  = 8 << 10 // bytes; the longest of a PAXLST has a few hundred
	maxElements = 64      // of a segment, components included
)

// service are the characters of the service string advice (ISO 9735 section 7);
// the zero value is never used.
type service struct {
	component, element, release, end byte
}

// defaultService stands where an interchange has no UNA.
var defaultService = service{':', '+', '?', '\''}

// segment is one segment: its tag and, behind it, data elements of components.
type segment struct {
	tag      string
	elements [][]string
	bad      bool // holds bytes that its character set does not have
}

// get gives a component, empty where it is absent. Elements count from 1.
func (s *segment) get(element, component int) string {
	if element > len(s.elements) || component >= len(s.elements[element-1]) {
		return ""
	}
	return strings.TrimSpace(s.elements[element-1][component])
}

// charset decodes the bytes of a character set.
type charset func(b []byte) (s string, ok bool)

// charsets by syntax identifier (ISO 9735 section 6): UNOA and UNOB are ASCII,
// UNOC is ISO 8859-1, UNOW UTF-8; airlines' IATA and IATB are ASCII, too. Lower
// case under UNOA harms nobody.
var charsets = map[string]charset{
	"UNOA": ascii, "UNOB": ascii, "IATA": ascii, "IATB": ascii, "UNOC": latin1, "UNOW": unicode8,
}

func ascii(b []byte) (string, bool) {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return "", false
		}
	}
	return string(b), true
}

func latin1(b []byte) (string, bool) {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c < ' ' || c >= 0x7f && c < 0xa0 {
			return "", false
		}
		out = utf8.AppendRune(out, rune(c))
	}
	return string(out), true
}

func unicode8(b []byte) (string, bool) { return string(b), utf8.Valid(b) }

// segments reads the segments of interchanges as a stream. Line breaks are no
// data: transports break lines wherever they are full.
type segments struct {
	in     *bufio.Reader
	chars  service
	decode charset
	n      int64 // segments read, UNA not among them
	buf    []byte
	fill   []byte
}

// errNoInterchange says that no further interchange begins.
var errNoInterchange = errors.New("no interchange")

// start finds the next interchange, skipping the envelope of a transport, and
// reads its UNA.
func (s *segments) start() error {
	head, err := s.in.Peek(s.in.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	at := interchangeStart.FindIndex(head)
	if at == nil && err == nil {
		return fmt.Errorf("behind segment %d stand more than %d bytes that are no interchange", s.n, len(head))
	}
	if at == nil {
		return errNoInterchange
	}
	s.in.Discard(at[0]) // it was peeked
	s.chars, s.decode = defaultService, ascii
	una := head[at[0]:]
	if string(una[:3]) != "UNA" {
		// The character behind UNB tells where the others are unusual, too; only
		// the default ones are known without a UNA.
		if una[3] != defaultService.element {
			return errors.New("the interchange has no UNA and does not use the usual separators")
		}
		return nil
	}
	s.chars = service{una[3], una[4], una[6], una[8]}
	if s.chars.release == ' ' {
		s.chars.release = 0 // none is in use
	}
	if c := s.chars; c.component == c.element || c.element == c.end || c.component == c.end || c.release == c.end || c.release == c.element || c.release == c.component {
		return errors.New("the UNA gives one character two meanings")
	}
	s.in.Discard(len("UNA:+.? '"))
	return nil
}

// next reads a segment.
func (s *segments) next() (segment, error) {
	s.buf, s.fill = s.buf[:0], s.fill[:0]
	s.n++
	released := false
	for {
		c, err := s.in.ReadByte()
		if errors.Is(err, io.EOF) {
			return segment{}, fmt.Errorf("the file ends within segment %d, before the interchange does (UNZ): it was cut; fetch it again", s.n)
		}
		if err != nil {
			return segment{}, err
		}
		switch {
		case c == '\r' || c == '\n' || c < ' ' && len(s.buf) == 0:
			continue
		case released:
			released = false
			s.put(c, 'x')
		case c == s.chars.release && c != 0:
			released = true
		case c == s.chars.end:
			return s.split()
		case c == s.chars.element:
			s.put(c, '+')
		case c == s.chars.component:
			s.put(c, ':')
		case c == ' ' && len(s.buf) == 0:
		default:
			s.put(c, 'x')
		}
		if len(s.buf) > maxSegment {
			return segment{}, fmt.Errorf("segment %d is longer than %d bytes", s.n, maxSegment)
		}
	}
}

// put keeps a byte and what it is: data 'x' or a separator.
func (s *segments) put(c, what byte) {
	s.buf, s.fill = append(s.buf, c), append(s.fill, what)
}

// split cuts the bytes of a segment into elements and components.
func (s *segments) split() (segment, error) {
	var out segment
	element, from, count := []string(nil), 0, 0
	for i := 0; i <= len(s.buf); i++ {
		if i < len(s.buf) && s.fill[i] == 'x' {
			continue
		}
		text, ok := s.decode(s.buf[from:i])
		out.bad = out.bad || !ok
		if element, from, count = append(element, text), i+1, count+1; count > maxElements {
			return out, fmt.Errorf("segment %d has more than %d data elements", s.n, maxElements)
		}
		if i == len(s.buf) || s.fill[i] == '+' {
			out.elements, element = append(out.elements, element), nil
		}
	}
	out.tag, out.elements = out.elements[0][0], out.elements[1:]
	if len(out.tag) != 3 {
		return out, fmt.Errorf("segment %d has no tag of three letters", s.n)
	}
	return out, nil
}
