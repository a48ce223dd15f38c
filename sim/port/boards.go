package port

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// frameGap separates Modbus messages on the line: what is older than this
// cannot belong to the message that arrives now.
const frameGap = 50 * time.Millisecond

// receive takes what the agent wrote and answers.
func (r *Relay) receive(b []byte) {
	r.mu.Lock()
	if r.opts.Protocol == ProtocolModbus && time.Since(r.last) > frameGap {
		r.buf = r.buf[:0]
	}
	r.last = time.Now()
	r.buf = append(r.buf, b...)
	before := r.opened()
	var reply []byte
	if r.opts.Protocol == ProtocolModbus {
		reply = r.modbus()
	} else {
		reply = r.text()
	}
	if len(r.buf) > 256 {
		r.buf = r.buf[:0]
	}
	mute, opens := r.mute, r.opened() > before
	r.mu.Unlock()
	if opens && r.opts.OnOpen != nil {
		r.opts.OnOpen()
	}
	if len(reply) > 0 && !mute {
		_ = r.line.send(reply) // the agent may be gone: that is its business
	}
}

// modbus carries out the whole requests in the buffer. Every request that the
// board knows has eight bytes.
func (r *Relay) modbus() (reply []byte) {
	for len(r.buf) >= 8 {
		q := r.buf[:8]
		if crc := checksum(q[:6]); q[6] != byte(crc) || q[7] != byte(crc>>8) || q[0] != r.opts.Address {
			r.buf = r.buf[1:]
			continue
		}
		reply = append(reply, r.request(q)...)
		r.buf = r.buf[8:]
	}
	return reply
}

func (r *Relay) request(q []byte) []byte {
	value := int(q[4])<<8 | int(q[5])
	const relay = 0
	switch {
	case q[1] == 5 && q[2] == 0 && q[3] == relay && (value == 0xFF00 || value == 0):
		r.drive(value != 0, 0)
	case q[1] == 5 && q[2] == 2 && q[3] == relay && value > 0 && value <= 0x7FFF:
		r.drive(true, time.Duration(value)*100*time.Millisecond)
	case q[1] == 5 && q[2] == 4 && q[3] == relay && value > 0 && value <= 0x7FFF:
		r.drive(false, time.Duration(value)*100*time.Millisecond)
	case q[1] == 2 && q[2] == 0 && q[3] == 0 && value == 8:
		r.commands++
		var inputs byte
		if r.input {
			inputs = 1
		}
		return sealed([]byte{q[0], 2, 1, inputs})
	default:
		return sealed([]byte{q[0], q[1] | 0x80, 2}) // illegal data address
	}
	r.commands++
	return bytes.Clone(q)
}

func sealed(b []byte) []byte {
	crc := checksum(b)
	return append(b, byte(crc), byte(crc>>8))
}

// checksum is Modbus's CRC-16: reflected polynomial 0xA001, start 0xFFFF.
func checksum(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			odd := crc & 1
			crc >>= 1
			if odd == 1 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}

// text carries out the whole lines in the buffer.
func (r *Relay) text() (reply []byte) {
	for {
		line, rest, ok := bytes.Cut(r.buf, []byte("\n"))
		if !ok {
			return reply
		}
		word := strings.Fields(strings.ToLower(string(line)))
		r.buf = append(r.buf[:0], rest...)
		known := len(word) >= 3 && len(word) <= 4 && word[0] == "sr" && word[1] == "1"
		ms := 0
		if known && len(word) == 4 {
			n, err := strconv.Atoi(word[3])
			known, ms = err == nil && n > 0, n
		}
		switch {
		case known && (word[2] == "on" || word[2] == "off"):
			r.commands++
			r.drive(word[2] == "on", time.Duration(ms)*time.Millisecond)
			reply = append(reply, "Ok\r\n"...)
		case len(word) > 0:
			reply = append(reply, "Fail\r\n"...)
		}
	}
}
