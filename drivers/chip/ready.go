package chip

import "bytes"

// prepared is the command that will follow if the running one is answered in
// full, protected before that one is sent. It is sent only when just this
// command is wanted at just this count, which is known once the answer has been
// proven; otherwise it is thrown away, and nobody has seen it.
type prepared struct {
	command command
	before  []byte // the counter when it is wanted
	after   []byte // the counter once it is sent
	apdu    []byte
}

// prepare protects the command after the one that is about to be sent, at whose
// count the counter stands. That takes some microseconds: beside the
// transmission, on a thread of its own, it would cost a multiple of them.
func (m *secure) prepare(c command) {
	m.take()
	twin := *m
	twin.ready = nil
	twin.ssc = bytes.Clone(m.ssc)
	twin.count() // the answer in between
	p := &prepared{command: c, before: bytes.Clone(twin.ssc)}
	p.apdu = twin.wrap(c)
	p.after = twin.ssc
	m.ready = p
}

// protect gives the protected command: the prepared one where it is that.
func (m *secure) protect(c command) []byte {
	p := m.take()
	if p == nil || !bytes.Equal(p.before, m.ssc) || !p.command.same(c) {
		return m.wrap(c)
	}
	copy(m.ssc, p.after)
	return p.apdu
}

// take gives what was prepared, once.
func (m *secure) take() *prepared {
	p := m.ready
	m.ready = nil
	return p
}

func (c command) same(d command) bool {
	return c.cla == d.cla && c.ins == d.ins && c.p1 == d.p1 && c.p2 == d.p2 &&
		c.ne == d.ne && c.short == d.short && bytes.Equal(c.data, d.data)
}
