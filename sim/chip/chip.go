package chip

import (
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Chip is one virtual chip. Process is called by one goroutine at a time;
// Reset, Close, Modelled and Commands may be called from others meanwhile.
type Chip struct {
	cfg Config

	mu       sync.Mutex // guards everything below
	random   io.Reader
	state    state
	wrong    int           // wrong passwords in a row; the chip remembers them
	index    int           // commands since the last Reset
	commands int           // commands since New
	modelled time.Duration // what the model says all commands cost
	cost     time.Duration // key operations of the running command
	abort    chan struct{} // closed by Reset and Close: stop waiting
	closed   bool
}

// state is what a chip forgets when its field goes away.
type state struct {
	app       bool   // the application is selected
	opened    bool   // it was selected at least once
	ef        []byte // current elementary file
	hasEF     bool
	access    bool // PACE or BAC succeeded
	session   *session
	next      *session // takes over when the running answer is out
	pace      *paceRun
	challenge []byte   // of BAC
	chipKey   *ChipKey // chosen by MSE for chip authentication
	rest      []byte   // of a long answer, fetched by GET RESPONSE
}

// New makes a chip that lies in the field, reset.
func New(cfg Config) *Chip {
	c := &Chip{cfg: cfg, abort: make(chan struct{}), random: crand.Reader}
	if cfg.AID == nil {
		c.cfg.AID = AID()
	}
	if cfg.Seed != 0 {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], uint64(cfg.Seed))
		c.random = rand.NewChaCha8(seed)
	}
	return c
}

// ATR gives the answer to reset that a PC/SC reader makes up for a
// contactless chip (PC/SC part 3 section 3.1.3.2.3.1). The historical bytes
// announce selection by full name and by identifier, and extended length
// unless a quirk forbids it.
func (c *Chip) ATR() []byte {
	capabilities := byte(0xC0)
	if c.cfg.Quirks.NoExtended {
		capabilities = 0x80
	}
	atr := []byte{0x3B, 0x85, 0x80, 0x01, 0x80, 0x73, 0xC8, 0x21, capabilities}
	check := byte(0)
	for _, b := range atr[1:] {
		check ^= b
	}
	return append(atr, check)
}

// Reset takes the field away and brings it back: keys, selections and a
// command that still waits are gone.
func (c *Chip) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state{}
	c.index = 0
	if !c.closed {
		close(c.abort)
		c.abort = make(chan struct{})
	}
}

// Close takes the chip away for good; every Process returns nil from now on.
func (c *Chip) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.abort)
	}
	c.state = state{}
}

// Modelled gives the time that all commands so far must take by the model,
// whatever the machine below: the floor under any measurement.
func (c *Chip) Modelled() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.modelled
}

// Commands counts the commands so far.
func (c *Chip) Commands() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.commands
}

// Process takes one command APDU and gives the response APDU after as long
// as the model says; nil when the chip is mute, was reset meanwhile or is
// closed.
func (c *Chip) Process(apdu []byte) []byte {
	start := time.Now()
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.cost = 0
	index, abort := c.index, c.abort
	c.index++
	c.commands++
	resp := c.answer(apdu)
	mute := false
	if c.cfg.Fault != nil {
		resp, mute = c.cfg.Fault(index, apdu, resp)
	}
	wait := c.cfg.Model.Latency(len(apdu), len(resp), 0) + c.cost
	c.modelled += wait
	c.mu.Unlock()

	if mute {
		<-abort
		return nil
	}
	timer := time.NewTimer(wait - coarse - time.Since(start))
	defer timer.Stop()
	select {
	case <-abort:
		return nil
	case <-timer.C:
		finish(wait - time.Since(start))
		return resp
	}
}

// coarse is how late a timer of the runtime may be: it waits in whole
// milliseconds. A chip that is late with each of a hundred answers would make
// the reader look slow.
const coarse = 1500 * time.Microsecond

// finish waits out the last moment by the kernel's own timer (nanosleep(2)).
func finish(d time.Duration) {
	for end := time.Now().Add(d); d > 0; d = time.Until(end) { // signals wake it early
		rest := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&rest, nil)
	}
}

// charge books key operations; total is the share of a protocol whose whole
// time is set, or 0.
func (c *Chip) charge(steps int, total time.Duration) {
	if total > 0 {
		c.cost += total
		return
	}
	c.cost += time.Duration(steps) * c.cfg.Model.KeyStep
}

// answer runs one command in plain or under secure messaging.
func (c *Chip) answer(apdu []byte) []byte {
	cmd, ok := parseCommand(apdu)
	if !ok || cmd.extended && c.cfg.Quirks.NoExtended {
		return response(nil, swLength)
	}
	if cmd.cla == 0 && cmd.ins == 0xC0 && c.state.rest != nil {
		return c.chunk(c.state.rest, cmd.le)
	}
	c.state.rest = nil
	if cmd.cla&^0x1C != 0 {
		return response(nil, swNoClass)
	}
	if cmd.cla&0x0C != 0x0C {
		if c.state.session != nil {
			// A plain command ends secure messaging and the access with it
			// (ICAO 9303-11 section 9.8.3).
			c.state.session, c.state.access = nil, false
		}
		data, sw := c.execute(cmd)
		return c.long(data, sw, cmd)
	}
	s := c.state.session
	if s == nil {
		return response(nil, swBadSMObjects)
	}
	if sw := c.refusedUnopened(cmd); sw != 0 {
		return response(nil, sw)
	}
	plain, sw := s.unwrap(cmd)
	if sw != swOK {
		c.state.session, c.state.access = nil, false
		return response(nil, sw)
	}
	data, sw := c.execute(plain)
	out := s.wrap(data, sw, cmd.ins&1 == 1)
	if c.state.next != nil {
		c.state.session, c.state.next = c.state.next, nil
	}
	return c.long(out[:len(out)-2], sw, cmd)
}

// long sends an answer that a short command has no room for in pieces (61xx
// and GET RESPONSE, ISO/IEC 7816-4 section 7.6.1).
func (c *Chip) long(data []byte, sw uint16, cmd command) []byte {
	if cmd.extended || len(data) <= 256 {
		return response(data, sw)
	}
	return c.chunk(response(data, sw), 256)
}

// chunk gives the next n bytes of a whole answer, status word last.
func (c *Chip) chunk(whole []byte, n int) []byte {
	if data := len(whole) - 2; data > n {
		c.state.rest = whole[n:]
		return response(whole[:n], 0x6100|uint16(min(data-n, 256)&0xFF))
	}
	c.state.rest = nil
	return append([]byte(nil), whole...)
}

// execute runs one plain command.
func (c *Chip) execute(cmd command) ([]byte, uint16) {
	if cmd.cla&0x10 != 0 && cmd.ins != 0x86 {
		return nil, swNoChaining
	}
	switch cmd.ins {
	case 0xA4:
		return c.selectFile(cmd)
	case 0xB0:
		return c.readEven(cmd)
	case 0xB1:
		return c.readOdd(cmd)
	case 0x22:
		return nil, c.manageSecurity(cmd)
	case 0x86:
		return c.generalAuthenticate(cmd)
	case 0x84:
		return c.getChallenge(cmd)
	case 0x82:
		return c.externalAuthenticate(cmd)
	case 0x88:
		return c.internalAuthenticate(cmd)
	}
	return nil, swNoIns
}
