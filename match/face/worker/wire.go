// Package worker keeps the face engine in a process of its own. The parent
// starts the program again with other arguments, talks to it over its
// standard input and output, bounds its time and memory, and survives
// whatever native code does in there. The child gives up the network, the
// file system and new programs before it sees the first picture.
package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"gateagent/gate"
	"gateagent/match/face/picture"
)

// A message is the length of what follows (four bytes, big-endian), a kind
// and a body of fixed layout; a picture stands at the end of it. Templates
// never travel: the child keeps them.
type kind byte

const (
	// Requests.
	kindBegin    kind = 'B' // Limits; a new traveller: forget everything before
	kindFrame    kind = 'F' // frameHead and a picture
	kindPortrait kind = 'P' // portraitHead and a picture
	kindCompare  kind = 'C'
	kindEnd      kind = 'E' // wipe; the reply is size
	// Replies.
	kindReady kind = 'r' // ready, once, before the first request
	kindLook  kind = 'l' // Look
	kindSeen  kind = 'p' // Seen
	kindMatch kind = 'm' // Match
	kindDone  kind = 'd' // nothing
	kindSize  kind = 's' // size
	kindFault kind = 'x' // the engine failed: its words
)

// Bounds of messages. A frame of the largest camera picture that is taken,
// unpacked, fits.
const (
	maxRequest = 40 << 20
	maxReply   = 4096
)

// Problem says what was wrong with a picture.
type Problem uint8

// Problems of pictures.
const (
	Fine Problem = iota
	BadFormat
	Torn
	Huge
	Tiny
	Depth
	Animated
	Nobody
	Several
	UpsideDown
	Blank
	problems
)

var problemNames = [...]string{
	"fine", "format", "torn", "huge", "tiny", "depth", "animated", "nobody", "several", "upside_down", "blank",
}

// String names the problem for logs.
func (p Problem) String() string {
	if p < problems {
		return problemNames[p]
	}
	return "unknown"
}

type frameHead struct {
	Format        uint8
	Width, Height uint32
}

type portraitHead struct{ Format uint8 }

// formats gives the number of a format on the wire.
var formats = [...]picture.Format{"", picture.JPEG, picture.JP2, picture.PNG, picture.PNM, picture.RGB, picture.Gray}

func formatNumber(f picture.Format) (uint8, error) {
	for i, g := range formats {
		if f == g && i > 0 {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no format of a picture", f)
}

// Limits is the quality that a live picture needs to be embedded, in the
// components of ISO/IEC 29794-5. The zero value lets no face through.
type Limits struct {
	InterEye  float64 // pixels, at least
	Yaw       float64 // degrees to either side, at most
	Pitch     float64
	Roll      float64
	Sharpness float64 // 0..1, at least
	Exposure  float64 // 0..1, at least
	Occlusion float64 // 0..1, at most
}

// Lacks names the first component that is not good enough; empty when all are.
func (l Limits) Lacks(q gate.FaceQuality) string {
	switch {
	case !(q.InterEye >= l.InterEye) || l.InterEye <= 0:
		return "inter_eye"
	case !(math.Abs(q.Yaw) <= l.Yaw):
		return "yaw"
	case !(math.Abs(q.Pitch) <= l.Pitch):
		return "pitch"
	case !(math.Abs(q.Roll) <= l.Roll):
		return "roll"
	case !(q.Exposure >= l.Exposure):
		return "exposure"
	case !(q.Sharpness >= l.Sharpness):
		return "sharpness"
	case !(q.Occlusion <= l.Occlusion):
		return "occlusion"
	}
	return ""
}

// ready tells how the child stands when it begins to serve.
type ready struct {
	Confined uint8  // 1: nothing but computing is left to it
	LoadMS   uint32 // loading and first run of all models
}

// size is the child's memory in bytes.
type size struct{ Resident uint64 }

func (s *size) check() error { return nil }

// Look is what the child saw in one live picture.
type Look struct {
	Problem Problem
	// Kept says that this picture is the best so far; Changed that the
	// person before the camera is another one than before, and what was kept
	// of the one before is gone.
	Kept, Changed bool
	// Same says that the face is that of the best picture before, also where
	// this one is turned too far aside to be kept.
	Same bool
	// Flat is how well a plane explains both this picture and the best one
	// before, see engine.Relief.Flat; negative where the head is not turned.
	Flat        float64
	Quality     gate.FaceQuality
	Width       float64    // of the face as a part of the picture's
	Live        float64    // presentation attack score, negative for none
	Lit, Behind [3]float64 // light of the face and of what is behind it, see engine.Lit
}

// Seen is what the child made of the portrait.
type Seen struct {
	Problem Problem
	Quality gate.FaceQuality
}

// Match is the comparison of the best live picture with the portrait.
type Match struct {
	Have    bool // there were both; everything else is zero without
	Score   float64
	Live    float64 // mean over the pictures, negative for none
	Steady  float64 // least likeness of the live pictures with each other
	Quality gate.FaceQuality
	Good    uint32 // live pictures that were good enough
}

func writeMessage(w io.Writer, k kind, head any, tail []byte) error {
	var b bytes.Buffer
	b.Write([]byte{0, 0, 0, 0, byte(k)})
	if head != nil {
		if err := binary.Write(&b, binary.BigEndian, head); err != nil {
			return err
		}
	}
	binary.BigEndian.PutUint32(b.Bytes(), uint32(b.Len()-4+len(tail)))
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	if len(tail) == 0 {
		return nil
	}
	_, err := w.Write(tail)
	return err
}

// readMessage reads one message into buf, or into a larger one, which it
// gives back with the body in it.
func readMessage(r io.Reader, most int, buf []byte) (kind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, buf, err
	}
	n := int(binary.BigEndian.Uint32(head[:])) - 1
	if n < 0 || n > most {
		return 0, buf, fmt.Errorf("a message of %d bytes, at most %d", n, most)
	}
	if cap(buf) < n {
		clear(buf[:cap(buf)])
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r, buf)
	return kind(head[4]), buf, err
}

// open takes the fixed head off a body and gives what follows.
func open(body []byte, head any) ([]byte, error) {
	n := binary.Size(head)
	if len(body) < n {
		return nil, errors.New("a message is cut off")
	}
	if _, err := binary.Decode(body[:n], binary.BigEndian, head); err != nil {
		return nil, err
	}
	return body[n:], nil
}

// openAll takes a body that is nothing but the fixed head.
func openAll(body []byte, head any) error {
	rest, err := open(body, head)
	if err == nil && len(rest) != 0 {
		err = errors.New("a message has more than its head")
	}
	return err
}

// The parent believes numbers of the child only within their range: it may
// have been taken over by a picture.

func (l *Look) check() error {
	if l.Problem >= problems || !within(l.Width, 0, 8) || !within(l.Live, -1, 1) || !within(l.Flat, -1, 1) {
		return errors.New("a look is out of range")
	}
	for _, v := range slices.Concat(l.Lit[:], l.Behind[:]) {
		if !within(v, 0, 1) {
			return errors.New("a light is out of range")
		}
	}
	return checkQuality(l.Quality)
}

func (s *Seen) check() error {
	if s.Problem >= problems {
		return errors.New("a problem is out of range")
	}
	return checkQuality(s.Quality)
}

func (m *Match) check() error {
	if !within(m.Score, -1, 1) || !within(m.Live, -1, 1) || !within(m.Steady, -1, 1) {
		return errors.New("a score is out of range")
	}
	return checkQuality(m.Quality)
}

func checkQuality(q gate.FaceQuality) error {
	for _, v := range []float64{q.Sharpness, q.Exposure, q.Occlusion, q.Overall} {
		if !within(v, 0, 1) {
			return errors.New("a quality is out of range")
		}
	}
	for _, v := range []float64{q.Yaw, q.Pitch, q.Roll} {
		if !within(v, -180, 180) {
			return errors.New("an angle is out of range")
		}
	}
	if !within(q.InterEye, 0, 1e5) {
		return errors.New("a distance is out of range")
	}
	return nil
}

// within is false for NaN.
func within(v, low, high float64) bool { return !math.IsNaN(v) && v >= low && v <= high }
