package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"gateagent/gate"
	"gateagent/sim/face"
)

// Sizes of the demo's pictures. Drawing is slow, so they are as small as the
// comparison takes without loss.
const (
	portraitWide, portraitHigh = 300, 386
	portraitBytes              = 15000 // on the chip
	filmWide, filmHigh         = 480, 360
	filmShots                  = 4
	filmLength                 = 2*filmShots - 2 // to and fro
	turnedShots                = 2
	turnedBy                   = 27.0 // degrees
	filmRate                   = 10   // pictures a second
)

// film names what the kiosk's camera sees.
type film string

const (
	filmFirst   film = "first"   // one person alone
	filmSecond  film = "second"  // another one
	filmPrinted film = "printed" // a photograph of the first, on paper
	filmTwo     film = "two"     // both side by side
	filmNobody  film = "nobody"
)

// turned names the film in which who is filmed turns to a side.
func (f film) turned(side gate.FaceHint) film { return f + "-" + film(side) }

// The demo's people who do not exist, by their place in face.Cast.
const (
	firstPerson = iota
	secondPerson
	thirdPerson
)

// studio draws the cast's pictures.
type studio struct {
	dir       string // of the films
	portraits map[int][]byte
	mark      []byte // planted in every portrait
	mu        sync.Mutex
	prints    [][]byte // by which a picture would be found again; guarded by mu while films are shot
}

// newStudio draws everything at once.
func newStudio(ctx context.Context, dir string) (*studio, error) {
	s := &studio{dir: dir, portraits: map[int][]byte{}, mark: make([]byte, 32)}
	if _, err := rand.Read(s.mark); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for _, who := range []int{firstPerson, secondPerson, thirdPerson} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.portrait(who); err != nil {
			return nil, err
		}
	}
	alone := func(who, shots int, yaw float64) func() []*image.RGBA {
		shot := face.Shot{Behind: face.Hall, Size: 0.16, Yaw: yaw, LightFrom: 15, Hard: 0.3, Noise: 0.3, Grain: uint64(who)}
		return func() []*image.RGBA { return face.Live(face.Cast()[who], shot, shots, filmWide, filmHigh) }
	}
	first, second := face.Cast()[firstPerson], face.Cast()[secondPerson]
	films := map[film]func() []*image.RGBA{
		filmFirst:   alone(firstPerson, filmShots, 0),
		filmSecond:  alone(secondPerson, filmShots, 0),
		filmPrinted: func() []*image.RGBA { return face.Printed(first, filmShots, filmWide, filmHigh) },
		filmTwo:     func() []*image.RGBA { return face.Two(first, second, filmShots, filmWide, filmHigh) },
		filmNobody:  func() []*image.RGBA { return face.Nobody(filmShots, filmWide, filmHigh) },
	}
	// To the left of who is filmed is to the right of the picture.
	for side, yaw := range map[gate.FaceHint]float64{gate.HintTurnLeft: turnedBy, gate.HintTurnRight: -turnedBy} {
		films[filmFirst.turned(side)] = alone(firstPerson, turnedShots, yaw)
		films[filmSecond.turned(side)] = alone(secondPerson, turnedShots, yaw)
		films[filmPrinted.turned(side)] = func() []*image.RGBA { return turnedPrint(first, yaw) }
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2) // each draws with every processor
	for name, draw := range films {
		g.Go(func() error {
			if err := gctx.Err(); err != nil {
				return err
			}
			return s.shoot(name, draw())
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return s, s.show(filmNobody)
}

// portrait draws the picture on somebody's chip, of exactly portraitBytes.
func (s *studio) portrait(who int) error {
	for _, quality := range []int{85, 75, 60, 45, 30} {
		raw, err := face.Portrait(face.Cast()[who], portraitWide, portraitHigh, quality)
		if err != nil {
			return err
		}
		planted, ok := s.plant(raw)
		if !ok {
			continue
		}
		s.portraits[who] = planted
		return s.remember(raw)
	}
	return fmt.Errorf("the portrait of person %d does not fit in %d bytes", who, portraitBytes)
}

// plant fills a JPEG with a comment that repeats the mark (ITU-T T.81 section
// B.2.4.5); false when the picture is too large.
func (s *studio) plant(raw []byte) ([]byte, bool) {
	n := portraitBytes - len(raw) - 4
	if n < 2*len(s.mark) {
		return nil, false
	}
	out := append([]byte(nil), raw[:2]...)
	out = binary.BigEndian.AppendUint16(append(out, 0xFF, 0xFE), uint16(n+2))
	out = append(out, bytes.Repeat(s.mark, n/len(s.mark)+1)[:n]...)
	return append(out, raw[2:]...), true
}

// headers is where a JPEG of Go is its own: before lie the tables of ITU-T T.81
// Annex K, which many pictures have.
const headers = 640

// remember keeps pieces of a portrait, compressed and as pixels.
func (s *studio) remember(raw []byte) error {
	const short, piece = 24, 48
	for at := headers; at+short <= len(raw); at += 256 {
		s.prints = append(s.prints, raw[at:at+short])
	}
	img, err := jpeg.Decode(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	x, y := img.Bounds().Dx()/2-piece/2, img.Bounds().Dy()/2
	var rgb, rgba []byte
	for i := range piece {
		r, g, b, _ := img.At(x+i, y).RGBA()
		rgb = append(rgb, byte(r>>8), byte(g>>8), byte(b>>8))
		rgba = append(rgba, byte(r>>8), byte(g>>8), byte(b>>8), 255)
	}
	s.prints = append(s.prints, rgb, rgba)
	return nil
}

// distinct: a piece with fewer different values may occur by chance.
const distinct = 8

// glimpse keeps a piece of a film's picture as the camera sees it: brightness
// alone, row by row.
func (s *studio) glimpse(shot *image.RGBA) {
	const piece = 48
	for y := filmHigh / 2; y < filmHigh; y += 8 {
		var luma []byte
		values := map[byte]bool{}
		for x := filmWide/2 - piece/2; x < filmWide/2+piece/2; x++ {
			p := shot.RGBAAt(x, y)
			l, _, _ := color.RGBToYCbCr(p.R, p.G, p.B)
			luma, values[l] = append(luma, l), true
		}
		if len(values) >= distinct {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.prints = append(s.prints, luma)
			return
		}
	}
}

// shoot writes one film.
func (s *studio) shoot(name film, shots []*image.RGBA) error {
	f, err := os.OpenFile(s.reel(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	s.glimpse(shots[0])
	play := face.ToAndFro(shots)
	play = slices.Repeat(play, filmLength/len(play)) // every film has one length
	if err := face.WriteY4M(f, play, filmRate); err != nil {
		return err
	}
	return f.Close()
}

func (s *studio) reel(name film) string { return filepath.Join(s.dir, string(name)+".y4m") }

// camera is the file that the browser's camera plays; it opens the file anew
// whenever the camera goes on.
func (s *studio) camera() string { return filepath.Join(s.dir, "camera.y4m") }

// show puts a film before the camera: a copy, because turn writes into it.
func (s *studio) show(name film) error {
	raw, err := os.ReadFile(s.reel(name))
	if err != nil {
		return err
	}
	next := s.camera() + ".next"
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.camera())
}

// turn has who is before the camera turn to a side, or turn what they hold:
// the camera reads its file picture by picture, so that what is written over
// is what comes next.
func (s *studio) turn(name film, side gate.FaceHint) error {
	raw, err := os.ReadFile(s.reel(name.turned(side)))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.camera(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

// turnedPrint is a photograph that a hand turns as far as a head would go and
// farther.
func turnedPrint(p face.Person, yaw float64) []*image.RGBA {
	paper := face.Paper(p, filmHigh)
	out := make([]*image.RGBA, turnedShots)
	for i := range out {
		out[i] = face.Hold(paper, face.Sheet{Turn: yaw * (1.2 + 0.3*float64(i)), Lean: 3}, i, filmWide, filmHigh)
	}
	return out
}
