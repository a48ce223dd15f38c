package onnx

import (
	"encoding/binary"
	"math"
)

// message is a protocol buffer message under construction. Only what ONNX
// needs of the wire format is here: varints, fixed 32-bit values and
// length-delimited fields, written in the order of the calls, so that the
// same model always gives the same bytes.
type message struct{ raw []byte }

// Wire types (Protocol Buffers documentation, "Encoding").
const (
	wireVarint = 0
	wireBytes  = 2
	wireFixed4 = 5
)

func (m *message) tag(field, wire int) {
	m.raw = binary.AppendUvarint(m.raw, uint64(field)<<3|uint64(wire))
}

// integer writes v even when it is zero: in an attribute zero is a value.
func (m *message) integer(field int, v int64) {
	m.tag(field, wireVarint)
	m.raw = binary.AppendUvarint(m.raw, uint64(v))
}

func (m *message) float(field int, v float32) {
	m.tag(field, wireFixed4)
	m.raw = binary.LittleEndian.AppendUint32(m.raw, math.Float32bits(v))
}

func (m *message) bytes(field int, b []byte) {
	m.tag(field, wireBytes)
	m.raw = binary.AppendUvarint(m.raw, uint64(len(b)))
	m.raw = append(m.raw, b...)
}

func (m *message) text(field int, s string) { m.bytes(field, []byte(s)) }

// sub writes a message inside the message.
func (m *message) sub(field int, fill func(*message)) {
	var in message
	fill(&in)
	m.bytes(field, in.raw)
}

// floats32 gives the little-endian bytes that a tensor's raw data has.
func floats32(values []float32) []byte {
	out := make([]byte, 0, 4*len(values))
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}
