package worker

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"time"

	"gateagent/gate"
	"gateagent/match/face/engine"
	"gateagent/match/face/picture"
)

// models is what the child asks of the engine. It is wide because it is the
// whole of what happens to a picture; tests stand in for native code that
// breaks.
type models interface {
	Subject(*picture.Picture) (engine.Face, error)
	Portrait(*picture.Picture) (engine.Face, error)
	Template(*picture.Picture, engine.Face) (engine.Template, error)
	Live(*picture.Picture, engine.Face) (float64, error)
}

// otherPerson says how much further apart than the threshold's angle two good
// pictures must be to show two people. Pictures of one person taken within
// seconds are much closer, and most people are further from each other; one
// who is not would not be told apart by the comparison either.
const otherPerson = 1.2

// likeness is the cosine below which two pictures show two people.
func likeness(threshold float64) float64 {
	return math.Cos(min(otherPerson*math.Acos(max(-1, min(1, threshold))), math.Pi))
}

// session is the child's memory of one traveller.
type session struct {
	models models
	memory func() (uint64, error)
	size   picture.Limits
	alike  float64 // pictures less alike show two people
	match  float64 // the pack's threshold

	limits   Limits
	best     engine.Template
	relief   engine.Relief // of the best
	quality  gate.FaceQuality
	portrait engine.Template
	good     uint32
	liveSum  float64
	steady   float64
}

func (s *session) forget() {
	s.best.Wipe()
	s.relief.Wipe()
	s.portrait.Wipe()
	*s = session{models: s.models, memory: s.memory, size: s.size, alike: s.alike, match: s.match, steady: 1}
}

// forgetLive drops what was kept of the person before the camera.
func (s *session) forgetLive() {
	s.best.Wipe()
	s.relief.Wipe()
	s.best, s.relief, s.quality, s.good, s.liveSum, s.steady = nil, engine.Relief{}, gate.FaceQuality{}, 0, 0, 1
}

// request is one message of the parent. Its body goes back to the reader, wiped.
type request struct {
	kind kind
	body []byte
	err  error
}

// read passes requests on until the input ends. It reads on while one is
// being answered, so that the end of the parent is seen even when native code
// never comes back.
func read(in io.Reader, requests chan<- request, free <-chan []byte) {
	defer close(requests)
	for {
		var buf []byte
		select {
		case buf = <-free:
		default:
		}
		k, body, err := readMessage(in, maxRequest, buf)
		if errors.Is(err, io.EOF) {
			return
		}
		requests <- request{k, body, err}
		if err != nil {
			return
		}
	}
}

// lastWords is how long a request may take that is being answered when the
// parent goes.
const lastWords = time.Second

// serve answers requests until the input ends, which is how the parent ends
// it.
func serve(s *session, in io.Reader, out io.Writer) error {
	s.forget()
	requests, free := make(chan request), make(chan []byte, 2)
	go read(in, requests, free)
	r, ok := <-requests
	for ok {
		if r.err != nil {
			return fmt.Errorf("face worker: request: %w", r.err)
		}
		answered := make(chan error, 1)
		go func(r request) {
			err := s.reply(r, out)
			select {
			case free <- r.body:
			default:
			}
			answered <- err
		}(r)
		// The next request may come before the end of this answer is heard of.
		r, ok = <-requests
		select {
		case err := <-answered:
			if err != nil {
				return err
			}
		case <-time.After(lastWords):
			return errors.New("face worker: the parent went on or is gone while a request was being answered")
		}
	}
	s.forget()
	return nil
}

func (s *session) reply(r request, out io.Writer) error {
	answer, head, err := s.answer(r.kind, r.body)
	clear(r.body)
	if err != nil {
		err = writeMessage(out, kindFault, nil, fmt.Appendf(nil, "%.1000s", err))
	} else {
		err = writeMessage(out, answer, head, nil)
	}
	if r.kind == kindFrame {
		runtime.GC() // the portrait may come next, and must not wait for it
	}
	if err != nil {
		return fmt.Errorf("face worker: reply: %w", err)
	}
	return nil
}

// warm is the memory that one traveller's pictures need.
const warm = 12 << 20

// renew gives the memory of unpacked pictures back to the kernel, from which
// it comes again as zeros, and takes as much again now, so that the next
// traveller does not wait for it.
func renew() {
	debug.FreeOSMemory()
	b := make([]byte, warm)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	runtime.GC()
}

func (s *session) answer(k kind, body []byte) (kind, any, error) {
	switch k {
	case kindBegin:
		s.forget()
		return kindDone, nil, openAll(body, &s.limits)
	case kindEnd:
		s.forget()
		renew()
		n, err := s.memory()
		return kindSize, size{n}, err
	case kindFrame:
		l, err := s.frame(body)
		return kindLook, l, err
	case kindPortrait:
		seen, err := s.takePortrait(body)
		return kindSeen, seen, err
	case kindCompare:
		return kindMatch, s.compare(), nil
	}
	return 0, nil, fmt.Errorf("request %q is unknown", byte(k))
}

func (s *session) frame(body []byte) (*Look, error) {
	var head frameHead
	data, err := open(body, &head)
	if err != nil {
		return nil, err
	}
	if int(head.Format) >= len(formats) || head.Width > 1<<16 || head.Height > 1<<16 {
		return nil, errors.New("a frame's head is out of range")
	}
	var p *picture.Picture
	switch f := formats[head.Format]; f {
	case picture.RGB, picture.Gray:
		p, err = picture.Raw(int(head.Width), int(head.Height), f, data, s.size)
	default:
		p, err = picture.Decode(data, f, s.size)
	}
	if err != nil {
		return &Look{Problem: decodeProblem(err), Live: -1, Flat: -1}, nil
	}
	defer p.Wipe()
	return s.look(p)
}

func (s *session) look(p *picture.Picture) (*Look, error) {
	l := &Look{Live: -1, Flat: -1}
	face, err := s.models.Subject(p)
	if l.Problem = contentProblem(err); l.Problem == Fine && err != nil {
		return nil, err
	}
	if l.Problem == Nobody {
		if p.Contrast() < engine.BlankContrast {
			l.Problem = Blank
		}
		return l, nil
	}
	l.Width = min(8, face.Width/float64(p.Width))
	l.Quality = engine.Measure(p, face)
	l.Lit, l.Behind = engine.Lit(p, face)
	lacks := s.limits.Lacks(l.Quality)
	aside := lacks == "yaw" && s.best != nil && s.turned().Lacks(l.Quality) == ""
	if l.Problem != Fine || lacks != "" && !aside {
		return l, nil
	}
	t, err := s.models.Template(p, face)
	if err != nil {
		return nil, err
	}
	s.compareTurned(p, face, t, l)
	if aside {
		t.Wipe()
		return l, nil
	}
	if l.Live, err = s.models.Live(p, face); err != nil {
		t.Wipe()
		return nil, err
	}
	s.keep(p, face, t, l)
	return l, nil
}

// turnedFrom is how many degrees of yaw lie between a picture and the best one
// before it is held against a plane.
const turnedFrom = 12.0

// compareTurned says of a picture whether it shows the face of the best one,
// and how flat that is.
func (s *session) compareTurned(p *picture.Picture, f engine.Face, t engine.Template, l *Look) {
	if s.best == nil {
		return
	}
	l.Same = engine.Cosine(s.best, t) >= s.match
	if l.Same && math.Abs(l.Quality.Yaw-s.quality.Yaw) >= turnedFrom {
		r := engine.NewRelief(p, f)
		l.Flat = max(-1, min(1, s.relief.Flat(r)))
		r.Wipe()
	}
}

// farAside is how far a head may be turned to be known again.
const farAside = 45.0

// turned is the quality of a head that was asked to turn.
func (s *session) turned() Limits {
	l := s.limits
	l.Yaw = farAside
	return l
}

// keep takes a good picture into account.
func (s *session) keep(p *picture.Picture, f engine.Face, t engine.Template, l *Look) {
	if s.best != nil {
		like := engine.Cosine(s.best, t)
		if l.Changed = like < s.alike; l.Changed {
			s.forgetLive()
		} else {
			s.steady = min(s.steady, like)
		}
	}
	s.good++
	s.liveSum += l.Live
	if s.best == nil || l.Quality.Overall > s.quality.Overall {
		s.best.Wipe()
		s.relief.Wipe()
		s.best, s.relief, s.quality, l.Kept = t, engine.NewRelief(p, f), l.Quality, true
		return
	}
	t.Wipe()
}

func (s *session) takePortrait(body []byte) (*Seen, error) {
	var head portraitHead
	data, err := open(body, &head)
	if err != nil {
		return nil, err
	}
	if int(head.Format) >= len(formats) {
		return nil, errors.New("a portrait's head is out of range")
	}
	p, err := picture.Decode(data, formats[head.Format], s.size)
	if err != nil {
		return &Seen{Problem: decodeProblem(err)}, nil
	}
	defer p.Wipe()
	face, err := s.models.Portrait(p)
	if err != nil {
		if bad := contentProblem(err); bad != Fine {
			return &Seen{Problem: bad}, nil
		}
		return nil, err
	}
	s.portrait.Wipe()
	s.portrait, err = s.models.Template(p, face)
	if err != nil {
		return nil, err
	}
	return &Seen{Quality: engine.Measure(p, face)}, nil
}

func (s *session) compare() *Match {
	if s.best == nil || s.portrait == nil {
		return &Match{Live: -1}
	}
	m := &Match{Have: true, Score: engine.Cosine(s.best, s.portrait), Quality: s.quality, Good: s.good, Steady: s.steady, Live: -1}
	if live := s.liveSum / float64(s.good); live >= 0 {
		m.Live = live
	}
	return m
}

func decodeProblem(err error) Problem {
	switch {
	case errors.Is(err, picture.ErrTorn):
		return Torn
	case errors.Is(err, picture.ErrHuge):
		return Huge
	case errors.Is(err, picture.ErrTiny):
		return Tiny
	case errors.Is(err, picture.ErrDepth):
		return Depth
	case errors.Is(err, picture.ErrAnimated):
		return Animated
	}
	return BadFormat
}

// contentProblem is Fine for an error of the engine itself.
func contentProblem(err error) Problem {
	switch {
	case errors.Is(err, engine.ErrNobody):
		return Nobody
	case errors.Is(err, engine.ErrSeveral):
		return Several
	case errors.Is(err, engine.ErrUpsideDown):
		return UpsideDown
	case errors.Is(err, engine.ErrBlank):
		return Blank
	}
	return Fine
}
