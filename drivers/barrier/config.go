package barrier

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Profile is the kind of relay board. The zero value is refused.
type Profile string

// Profiles; see the package documentation.
const (
	ProfileModbus Profile = "modbus"
	ProfileTimed  Profile = "timed"
)

// Level says which state of the relay opens the gate. The zero value is
// refused: guessing wrong would hold the gate open.
type Level string

// Levels.
const (
	// EnergisedOpens: the relay is released while the gate is shut.
	EnergisedOpens Level = "energised_opens"
	// EnergisedShuts: the relay is energised while the gate is shut.
	EnergisedShuts Level = "energised_shuts"
)

// Bounds and defaults. Gates want a pulse of at least 100 ms or a held level,
// and leave 5 to 8 s for the passage.
const (
	defaultPulse  = 500 * time.Millisecond
	minPulse      = 100 * time.Millisecond
	maxPulse      = 15 * time.Second
	defaultWindow = 8 * time.Second
	maxWindow     = 30 * time.Second
	maxTemplate   = 64
	relays        = 32 // Waveshare's largest board
	inputs        = 8
)

// Config describes board and gate.
type Config struct {
	Profile Profile
	// Active is the level that opens. It must stay empty with ProfileTimed,
	// whose templates say it already.
	Active Level
	// Pulse is how long the output is driven; 0: 500 ms. As long as Window
	// or longer makes it a held level.
	Pulse time.Duration
	// Window is how long a traveller has to pass; 0: 8 s. It needs a sensor.
	Window time.Duration
	// EndOnPassage drives "shut" as soon as somebody passed; for held levels.
	EndOnPassage bool

	// For ProfileModbus. Address 0: 1. Relay and Input count from 1; Input
	// 0: there is no passage sensor.
	Address byte
	Relay   int
	Input   int

	// For ProfileTimed. Templates know \r \n \t \\ \xNN, %% and the time as
	// %{ms}, %{ds} (tenths) or %{s} in decimal, or with :1 or :2 as that
	// many bytes, high byte first. Open must contain the time. Ack is what
	// the board answers to each command, Passed what it says when somebody
	// passed; either may be empty.
	Open, Shut, Ack, Passed string

	Log *slog.Logger // nil: silent
}

// commands is a checked configuration as bytes.
type commands struct {
	open, shut       []byte
	openAck, shutAck []byte // what must come back; nil: nothing
	passed           []byte // pattern of a report; nil: none
	poll             []byte // request of the input's state; nil: none
	pollMask         byte
	pulse            time.Duration // as the board will time it
}

func (c *Config) check() (commands, error) {
	if c.Pulse == 0 {
		c.Pulse = defaultPulse
	}
	if c.Window == 0 {
		c.Window = defaultWindow
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Pulse < minPulse || c.Pulse > maxPulse {
		return commands{}, fmt.Errorf("barrier: pulse %v: must lie between %v and %v", c.Pulse, minPulse, maxPulse)
	}
	if c.Window < minPulse || c.Window > maxWindow {
		return commands{}, fmt.Errorf("barrier: passage window %v: must lie between %v and %v", c.Window, minPulse, maxWindow)
	}
	switch c.Profile {
	case ProfileModbus:
		return c.modbus()
	case ProfileTimed:
		return c.timed()
	}
	return commands{}, fmt.Errorf("barrier: profile %q is unknown: use %q or %q", string(c.Profile), ProfileModbus, ProfileTimed)
}

func (c *Config) timed() (commands, error) {
	if c.Active != "" || c.Relay != 0 || c.Input != 0 || c.Address != 0 {
		return commands{}, fmt.Errorf("barrier: active level, address, relay and input belong to profile %q: say them in the templates", ProfileModbus)
	}
	var m commands
	timed := false
	for _, f := range []struct {
		name, template string
		to             *[]byte
	}{{"open", c.Open, &m.open}, {"shut", c.Shut, &m.shut}, {"ack", c.Ack, &m.openAck}, {"passed", c.Passed, &m.passed}} {
		b, hasTime, err := expand(f.template, c.Pulse)
		if err != nil {
			return commands{}, fmt.Errorf("barrier: template %s: %w", f.name, err)
		}
		if hasTime && f.name != "open" {
			return commands{}, fmt.Errorf("barrier: template %s: has no time to state", f.name)
		}
		timed = timed || hasTime
		*f.to = b
	}
	if len(m.open) == 0 || len(m.shut) == 0 {
		return commands{}, errors.New("barrier: profile timed needs the templates open and shut")
	}
	if !timed {
		return commands{}, errors.New("barrier: template open: must state the time, as in %{ms}: the board has to end the pulse, or a crash leaves the gate open")
	}
	m.shutAck, m.pulse = m.openAck, c.Pulse
	return m, nil
}
