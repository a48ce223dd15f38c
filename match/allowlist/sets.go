package allowlist

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// AnyGate in a set stands for every gate. A set without a gate fits none.
const AnyGate = "*"

// Set is a numbered combination that many entries share.
type Set struct {
	Flights []string `json:"flights"`
	Gates   []string `json:"gates"`
}

// fits says whether the set is for the gate.
func (s Set) fits(gate string) bool {
	return gate != "" && (slices.Contains(s.Gates, AnyGate) || slices.Contains(s.Gates, gate))
}

// normalGate brings a gate's name into its one form.
func normalGate(name string) string { return strings.ToUpper(strings.TrimSpace(name)) }

// Bounds of the names in a set.
const (
	maxGateName   = 40
	maxFlightName = 10
	maxNames      = 200 // flights or gates in one set
)

// normalise sorts, upper-cases and checks both halves.
func (s Set) normalise() (Set, error) {
	gates := make([]string, 0, len(s.Gates))
	for _, g := range s.Gates {
		g = normalGate(g)
		if g != AnyGate && (g == "" || len(g) > maxGateName || !only(g, isGateByte)) {
			return s, fieldError("gates", "holds a name that no gate has (letters, digits, - _ . and at most 40 characters)")
		}
		gates = append(gates, g)
	}
	flights := make([]string, 0, len(s.Flights))
	for _, f := range s.Flights {
		f = normalFlight(f)
		if !isFlight(f) {
			return s, fieldError("flights", "holds no flight number like VN123")
		}
		flights = append(flights, f)
	}
	switch {
	case len(gates) == 0:
		return s, fieldError("gates", "is empty; * stands for every gate")
	case len(gates) > maxNames:
		return s, fieldError("gates", "holds more than 200 names")
	case len(flights) > maxNames:
		return s, fieldError("flights", "holds more than 200 names")
	}
	slices.Sort(gates)
	slices.Sort(flights)
	out := Set{Flights: slices.Compact(flights), Gates: slices.Compact(gates)}
	if len(out.encode()) > pageSize {
		return s, fieldError("gates", "and flights together do not fit into one page")
	}
	return out, nil
}

func isGateByte(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' || c == '.' }

// encode writes the number of flights, the number of gates, then every name
// behind its length.
func (s Set) encode() []byte {
	b := []byte{byte(len(s.Flights)), byte(len(s.Gates))}
	for _, names := range [2][]string{s.Flights, s.Gates} {
		for _, n := range names {
			b = append(b, byte(len(n)))
			b = append(b, n...)
		}
	}
	return b
}

var errSet = errors.New("a set of flights and gates is malformed")

func decodeSet(b []byte) (Set, error) {
	if len(b) < 2 {
		return Set{}, errSet
	}
	counts, rest := [2]int{int(b[0]), int(b[1])}, b[2:]
	var names [2][]string
	for half, n := range counts {
		for range n {
			if len(rest) == 0 || len(rest) < 1+int(rest[0]) {
				return Set{}, errSet
			}
			names[half] = append(names[half], string(rest[1:1+int(rest[0])]))
			rest = rest[1+int(rest[0]):]
		}
	}
	if len(rest) != 0 {
		return Set{}, errSet
	}
	return Set{Flights: names[0], Gates: names[1]}, nil
}

// place is a directory entry: where a set lies within the set data.
type place struct {
	page           uint32
	offset, length uint16
}

func (p place) put(b []byte) {
	binary.BigEndian.PutUint32(b[0:], p.page)
	binary.BigEndian.PutUint16(b[4:], p.offset)
	binary.BigEndian.PutUint16(b[6:], p.length)
}

func parsePlace(b []byte) place {
	return place{binary.BigEndian.Uint32(b[0:]), binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])}
}

// setTable numbers the sets of a list under construction in order of first
// appearance.
type setTable struct {
	numbers map[string]uint32
	order   []string // encoded
	// raw remembers sets as rows wrote them: most rows repeat one.
	raw map[string]uint32
	key []byte
	// last is what the row before wrote, a copy: most rows repeat that one.
	last   Set
	lastNo uint32
}

func newSetTable() *setTable {
	return &setTable{numbers: map[string]uint32{}, raw: map[string]uint32{}}
}

// numberRaw takes a set as a row wrote it.
func (t *setTable) numberRaw(s Set) (uint32, error) {
	if len(t.last.Gates) > 0 && slices.Equal(s.Gates, t.last.Gates) && slices.Equal(s.Flights, t.last.Flights) {
		return t.lastNo, nil
	}
	n, err := t.numberOther(s)
	if err == nil {
		t.last.Flights, t.last.Gates, t.lastNo = append(t.last.Flights[:0], s.Flights...), append(t.last.Gates[:0], s.Gates...), n
	}
	return n, err
}

func (t *setTable) numberOther(s Set) (uint32, error) {
	t.key = t.key[:0]
	for _, names := range [2][]string{s.Flights, s.Gates} {
		t.key = binary.AppendUvarint(t.key, uint64(len(names)))
		for _, n := range names {
			t.key = append(binary.AppendUvarint(t.key, uint64(len(n))), n...)
		}
	}
	if n, ok := t.raw[string(t.key)]; ok {
		return n, nil
	}
	normal, err := s.normalise()
	if err != nil {
		return 0, err
	}
	n, err := t.number(normal)
	if err != nil {
		return 0, err
	}
	if len(t.raw) == maxRemembered {
		clear(t.raw)
	}
	t.raw[string(t.key)] = n
	return n, nil
}

// number expects a normalised set.
func (t *setTable) number(s Set) (uint32, error) {
	enc := s.encode()
	if n, ok := t.numbers[string(enc)]; ok {
		return n, nil
	}
	if len(t.order) == maxSets {
		return 0, errors.New("more than 4,194,304 combinations of flights and gates; are the columns right?")
	}
	n := uint32(len(t.order))
	t.order = append(t.order, string(enc))
	t.numbers[t.order[n]] = n
	return n, nil
}

// layOut gives the pages of the directory and of the set data.
func (t *setTable) layOut() (dir, data []*page) {
	fill := pageSize
	for n, enc := range t.order {
		if fill+len(enc) > pageSize {
			data, fill = append(data, new(page)), 0
		}
		if n%dirFan == 0 {
			dir = append(dir, new(page))
		}
		copy(data[len(data)-1][fill:], enc)
		place{uint32(len(data) - 1), uint16(fill), uint16(len(enc))}.put(dir[len(dir)-1][n%dirFan*dirEntry:])
		fill += len(enc)
	}
	return dir, data
}
