package barrier

import (
	"fmt"
	"time"
)

// Modbus RTU (Modbus application protocol v1.1b3, sections 6.2 and 6.5;
// Modbus over serial line v1.02, section 6.2.2 for the CRC). The flash
// addresses are Waveshare's, "Modbus RTU Relay", development protocol.
const (
	readInputs = 0x02
	writeCoil  = 0x05
	flashOn    = 0x02 // high byte of the address: on, then off after the value times 100 ms
	flashOff   = 0x04 // off, then on
	flashUnit  = 100 * time.Millisecond
	coilOn     = 0xFF
	// inputsAnswer is the length of an answer with the state of 8 inputs.
	inputsAnswer = 6
)

func (c *Config) modbus() (commands, error) {
	if c.Active != EnergisedOpens && c.Active != EnergisedShuts {
		return commands{}, fmt.Errorf("barrier: active level %q: must be %q or %q, as the gate is wired", string(c.Active), EnergisedOpens, EnergisedShuts)
	}
	if c.Address == 0 {
		c.Address = 1
	}
	if c.Address > 247 {
		return commands{}, fmt.Errorf("barrier: Modbus address %d: must lie between 1 and 247", c.Address)
	}
	if c.Relay < 1 || c.Relay > relays {
		return commands{}, fmt.Errorf("barrier: relay %d: must lie between 1 and %d", c.Relay, relays)
	}
	if c.Input < 0 || c.Input > inputs {
		return commands{}, fmt.Errorf("barrier: input %d: must lie between 1 and %d, or be 0 for none", c.Input, inputs)
	}
	if c.Pulse%flashUnit != 0 {
		return commands{}, fmt.Errorf("barrier: pulse %v: the board counts in steps of %v", c.Pulse, flashUnit)
	}
	if c.Open != "" || c.Shut != "" || c.Ack != "" || c.Passed != "" {
		return commands{}, fmt.Errorf("barrier: templates belong to profile %q", ProfileTimed)
	}
	n, units := byte(c.Relay-1), int(c.Pulse/flashUnit)
	flash, rest := byte(flashOn), byte(0)
	if c.Active == EnergisedShuts {
		flash, rest = flashOff, coilOn
	}
	m := commands{
		open:  seal(c.Address, writeCoil, flash, n, byte(units>>8), byte(units)),
		shut:  seal(c.Address, writeCoil, 0, n, rest, 0),
		pulse: c.Pulse,
	}
	m.openAck, m.shutAck = m.open, m.shut // a write is answered by its echo
	if c.Input > 0 {
		m.poll, m.pollMask = seal(c.Address, readInputs, 0, 0, 0, inputs), 1<<(c.Input-1)
	}
	return m, nil
}

// seal appends the CRC, low byte first.
func seal(b ...byte) []byte {
	crc := crc16(b)
	return append(b, byte(crc), byte(crc>>8))
}

// crc16 is the CRC of Modbus over serial line, section 6.2.2.
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// inputState finds an answer to poll in what the board sent.
func inputState(poll, in []byte) (state byte, ok bool) {
	for ; len(in) >= inputsAnswer; in = in[1:] {
		if in[0] != poll[0] || in[1] != readInputs || in[2] != 1 {
			continue
		}
		if crc := crc16(in[:4]); in[4] == byte(crc) && in[5] == byte(crc>>8) {
			return in[3], true
		}
	}
	return 0, false
}
