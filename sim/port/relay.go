package port

import (
	"sync"
	"time"
)

// Protocol is what a relay board speaks.
type Protocol string

// Protocols.
const (
	// ProtocolModbus is Modbus RTU with the flash commands of Waveshare's
	// relay boards (function 05 at 0x0200 and 0x0400, units of 100 ms) and
	// discrete inputs (function 02).
	ProtocolModbus Protocol = "modbus"
	// ProtocolText is the ASCII command set of Devantech's dS boards ("SR 1
	// on 500"), with a line "PASS" when the input is touched.
	ProtocolText Protocol = "text"
)

// RelayOptions describe a board and the gate behind it.
type RelayOptions struct {
	Protocol Protocol // empty: modbus
	Address  byte     // Modbus address; 0: 1
	// EnergisedShuts wires the gate so that a released relay opens it.
	EnergisedShuts bool
	// AutoPass lets somebody walk through this long after each opening; 0:
	// nobody does.
	AutoPass time.Duration
	// Beam is how long a passage interrupts the sensor; 0: 400 ms.
	Beam time.Duration
	// OnOpen is called when a command has just opened the gate and before the
	// board answers.
	OnOpen func()
}

// Event is one movement of the gate.
type Event struct {
	At      time.Time
	Open    bool
	ByTimer bool // by the board's own pulse timer, not by a command
}

// Relay is a virtual relay board with its own pulse timer and power: it goes
// on when its cable is pulled or the agent is killed. Relay 1 moves the gate,
// input 1 is the passage sensor.
type Relay struct {
	line *line
	opts RelayOptions

	mu        sync.Mutex
	buf       []byte
	last      time.Time // when buf was last added to
	energised bool
	timer     *time.Timer
	pulse     int // counts pulses, so that an old timer does nothing
	input     bool
	mute      bool
	events    []Event
	commands  int
}

// NewRelay plugs a board in as dir/name. Its relay is released, as after
// power-up.
func NewRelay(dir, name string, opts RelayOptions) (*Relay, error) {
	if opts.Protocol == "" {
		opts.Protocol = ProtocolModbus
	}
	if opts.Address == 0 {
		opts.Address = 1
	}
	if opts.Beam == 0 {
		opts.Beam = 400 * time.Millisecond
	}
	r := &Relay{opts: opts}
	r.line = newLine(dir, name, r.receive)
	return r, r.line.plug()
}

// Path is the device's stable name.
func (r *Relay) Path() string { return r.line.path }

// Opened counts how often the gate went from shut to open.
func (r *Relay) Opened() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened()
}

func (r *Relay) opened() (n int) {
	for _, e := range r.events {
		if e.Open {
			n++
		}
	}
	return n
}

// IsOpen says whether the gate is open now.
func (r *Relay) IsOpen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isOpen()
}

func (r *Relay) isOpen() bool { return r.energised != r.opts.EnergisedShuts }

// Events lists every movement so far.
func (r *Relay) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Event(nil), r.events...)
}

// Commands counts the commands that the board understood.
func (r *Relay) Commands() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.commands
}

// Pass lets somebody walk through the sensor.
func (r *Relay) Pass() {
	r.Sensor(true)
	time.AfterFunc(r.opts.Beam, func() { r.Sensor(false) })
}

// Sensor sets the passage sensor.
func (r *Relay) Sensor(active bool) {
	r.mu.Lock()
	rising := active && !r.input
	r.input = active
	text := r.opts.Protocol == ProtocolText && !r.mute
	r.mu.Unlock()
	if rising && text {
		_ = r.line.send([]byte("PASS\r\n")) // nobody listens while unplugged
	}
}

// Mute makes the board stop answering (it still obeys).
func (r *Relay) Mute(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mute = on
}

// Unplug pulls the data cable; the board keeps its power and its timer.
func (r *Relay) Unplug() error { return r.line.unplug() }

// Plug puts the cable back.
func (r *Relay) Plug() error { return r.line.plug() }

// Close unplugs for good and stops the timer.
func (r *Relay) Close() error {
	err := r.line.unplug()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pulse++
	if r.timer != nil {
		r.timer.Stop()
	}
	return err
}

// drive sets the relay; with a duration the board returns by itself.
func (r *Relay) drive(energised bool, d time.Duration) {
	r.pulse++
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.set(energised, false)
	if d <= 0 {
		return
	}
	pulse := r.pulse
	r.timer = time.AfterFunc(d, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.pulse == pulse {
			r.set(!energised, true)
		}
	})
}

func (r *Relay) set(energised, byTimer bool) {
	was := r.isOpen()
	r.energised = energised
	if r.isOpen() == was {
		return
	}
	r.events = append(r.events, Event{At: time.Now(), Open: !was, ByTimer: byTimer})
	if !was && r.opts.AutoPass > 0 {
		time.AfterFunc(r.opts.AutoPass, r.Pass)
	}
}
