package scan

import (
	"context"

	"gateagent/gate"
)

// Frames is where the bytes of a scanner come from; a serial port has it.
type Frames interface {
	Frames() <-chan []byte
}

// Source joins a scanner to the lane. It implements gate.Scanner. Run must be
// running.
type Source struct {
	frames Frames
	scans  chan gate.Scan
}

// NewSource reads its scans from frames.
func NewSource(frames Frames) *Source {
	return &Source{frames: frames, scans: make(chan gate.Scan, 1)}
}

// Scans delivers every scan, unknown ones too. While nobody takes them only
// the newest is kept: an older one belongs to somebody who has gone.
func (s *Source) Scans() <-chan gate.Scan { return s.scans }

// Run recognises frames until ctx ends, which returns nil.
func (s *Source) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-s.frames.Frames():
			s.deliver(Recognise(f))
		}
	}
}

func (s *Source) deliver(scan gate.Scan) {
	for {
		select {
		case s.scans <- scan:
			return
		default:
		}
		select {
		case old := <-s.scans:
			old.Wipe()
		default:
		}
	}
}
