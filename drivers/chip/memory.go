package chip

import (
	"crypto/sha256"
	"slices"
	"sync"

	"gateagent/gate"
)

// Memory keeps what sessions have learned about types of chips: how long a
// read may be and how files are found. The next document of the type is then
// read without a question too many. It is safe for use by several sessions,
// lives in memory only, and holds nothing of a document: a type is the hash of
// answer to reset and EF.CardAccess, which a whole series has in common, and
// should an issuer make them unique, the hash is of no use to anybody.
//
// What is remembered decides lengths and the order of questions alone, never
// whether a protocol or a file is asked for: a chip that lies can make reading
// its own kind slower, for memoryUses documents at most, and nothing else.
type Memory struct {
	mu    sync.Mutex // guards what follows
	types map[kind]*remembered
	order []kind // oldest first
}

// Bounds of a memory: types known at once, and documents after which a type
// is looked at anew.
const (
	memoryTypes = 256
	memoryUses  = 256
)

// kind is a type of chip.
type kind [sha256.Size]byte

// remembered is what is known of a type.
type remembered struct {
	traits traits
	uses   int
}

// traits are the habits of a type of chip. The zero value knows nothing.
type traits struct {
	way      way // to EF.CardAccess
	plain    int // length that EF.CardAccess was read with; 0: not known
	chunk    int // largest read; 0: not known
	extended bool
	short    bool // extended length is refused
	exact    bool
	shortEF  trit
}

// NewMemory makes an empty memory.
func NewMemory() *Memory { return &Memory{types: map[kind]*remembered{}} }

// kindOf names a type: by its answer to reset alone, and, once EF.CardAccess
// was looked for, by both.
func kindOf(parts ...[]byte) kind {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256(p)
		h.Write(sum[:])
	}
	return kind(h.Sum(nil))
}

// recall gives what is known; the zero traits where that is nothing, or
// nothing recent.
func (m *Memory) recall(k kind) traits {
	if m == nil {
		return traits{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.types[k]
	if r == nil {
		return traits{}
	}
	if r.uses++; r.uses > memoryUses {
		m.forget(k)
		return traits{}
	}
	return r.traits
}

// keep remembers a type, in place of the oldest one where there are too many.
func (m *Memory) keep(k kind, t traits) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.types[k]; r != nil {
		r.traits = t
		return
	}
	if len(m.order) >= memoryTypes {
		m.forget(m.order[0])
	}
	m.types[k] = &remembered{traits: t}
	m.order = append(m.order, k)
}

// drop forgets a type.
func (m *Memory) drop(k kind) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(k)
}

func (m *Memory) forget(k kind) {
	delete(m.types, k)
	m.order = slices.DeleteFunc(m.order, func(o kind) bool { return o == k })
}

// apply takes over what is known of the type of chip.
func (s *Session) apply(t traits) {
	r := &s.reads
	if t.chunk > 0 {
		r.chunk = min(s.opts.MaxRead, t.chunk)
		r.worked = r.chunk
	}
	r.plain = max(r.plain, t.plain)
	r.extended, r.exact, r.shortEF = r.extended || t.extended, r.exact || t.exact, t.shortEF
	if t.short {
		r.noExtended()
	}
}

// remember keeps what is known of the type of chip for the next document. Where
// a session was lost by a read, the next one tries a smaller one; where
// nothing was read, nothing is known; what ended in nonsense is forgotten.
func (s *Session) remember() {
	switch {
	case s.kind == (kind{}):
		return
	case s.dead != nil && s.dead.Kind == gate.ChipNonsense:
		s.opts.Memory.drop(s.kind)
		return
	case s.reads.worked == 0 && s.reads.lost == 0:
		return
	}
	r := s.reads
	t := traits{chunk: r.chunk, extended: r.extended, short: r.shortOnly, exact: r.exact, shortEF: r.shortEF}
	switch {
	case r.lost > 1024:
		t = traits{chunk: 1024, extended: true, shortEF: r.shortEF}
	case r.lost > maxProtectedShort:
		t = traits{chunk: maxProtectedShort, short: true, shortEF: r.shortEF}
	}
	s.opts.Memory.keep(s.kind, t)
}
