package chip

import "bytes"

// prepared is the command that will follow if the running one is answered in
// full, protected while the chip still works on that one. It is sent only when
// just this command is wanted at just this count, which is known once the
// answer has been proven; otherwise it is thrown away, and nobody has seen it.
type prepared struct {
	done    chan struct{}
	command command
	before  []byte // the counter when it is wanted
	after   []byte // the counter once it is sent
	apdu    []byte
}

// prepare protects the command after next beside the transmission. The counter
// stands at the command that is about to be sent.
func (m *secure) prepare(c command) {
	m.settle()
	twin := *m
	twin.ready = nil
	twin.ssc = bytes.Clone(m.ssc)
	twin.count() // the answer in between
	p := &prepared{done: make(chan struct{}), command: c, before: bytes.Clone(twin.ssc)}
	m.ready = p
	go func() {
		defer close(p.done)
		p.apdu = twin.wrap(c)
		p.after = twin.ssc
	}()
}

// protect gives the protected command: the prepared one where it is that.
func (m *secure) protect(c command) []byte {
	p := m.settle()
	if p == nil || !bytes.Equal(p.before, m.ssc) || !p.command.same(c) {
		return m.wrap(c)
	}
	copy(m.ssc, p.after)
	return p.apdu
}

// settle waits for what is being prepared and takes it.
func (m *secure) settle() *prepared {
	p := m.ready
	if p != nil {
		<-p.done
		m.ready = nil
	}
	return p
}

func (c command) same(d command) bool {
	return c.cla == d.cla && c.ins == d.ins && c.p1 == d.p1 && c.p2 == d.p2 &&
		c.ne == d.ne && c.short == d.short && bytes.Equal(c.data, d.data)
}
