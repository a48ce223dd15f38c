// Package face compares the person at the gate with the portrait on the
// chip, one to one. It takes live pictures while the chip is still being
// read, keeps the best of them in a worker process, and compares it with the
// proven portrait when that is there. There is no gallery, and nothing of a
// face outlives the transaction.
package face

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"gateagent/gate"
	"gateagent/match/face/pack"
	"gateagent/match/face/worker"
)

// Frame is one live picture. Whoever receives it owns Data and wipes it.
type Frame struct {
	Width, Height int    // of the formats "rgb" and "gray"
	Format        string // "jpeg", "rgb" or "gray", eight bits a sample
	Data          []byte
	At            time.Time
}

// FrameSource is a camera.
type FrameSource interface {
	// Frames starts the camera and delivers pictures until ctx ends, when
	// it stops the camera and closes the channel. A channel that is closed
	// before says that the camera failed. It should keep no more than the
	// newest picture when nobody receives.
	Frames(ctx context.Context) (<-chan Frame, error)
}

// PADPolicy says what the presentation attack score does.
type PADPolicy string

// Policies of the presentation attack score. It is recorded with each of
// them, where the pack has models for it.
const (
	PADOff        PADPolicy = "off"
	PADEvaluatory PADPolicy = "evaluatory" // looked at afterwards, decides nothing
	// PADRequired matches nobody whose challenge is not answered, or whose
	// score is below the least, where one is set.
	PADRequired PADPolicy = "required"
)

// Policy is the operator's word on live pictures.
type Policy struct {
	Limits worker.Limits // quality of a live picture
	// Pictures is how many good ones are needed before the verdict; the best
	// of them is compared.
	Pictures int
	// Stall is how long the camera may deliver nothing new.
	Stall time.Duration
	// PAD and the least score that PADRequired takes; 0 leaves the score
	// advisory, and then a challenge is needed.
	PAD      PADPolicy
	LeastPAD float64
	// Challenge asks the traveller for something that nobody can know before,
	// once enough good pictures are there. With PADRequired no answer is no
	// match; else it is recorded.
	Challenge ChallengePolicy
	// Answer is how long a challenge waits for an answer.
	Answer time.Duration
}

// DefaultPolicy fits a traveller who stands before a kiosk's camera.
func DefaultPolicy() Policy {
	return Policy{
		Limits:    worker.Limits{InterEye: 30, Yaw: 25, Pitch: 30, Roll: 20, Sharpness: 0.2, Exposure: 0.3, Occlusion: 0.9},
		Pictures:  3,
		Stall:     2 * time.Second,
		PAD:       PADEvaluatory,
		Challenge: ChallengeOff,
		Answer:    5 * time.Second,
	}
}

func (p Policy) check() error {
	switch {
	case p.Pictures < 1 || p.Pictures > 100:
		return errors.New("pictures must be 1 to 100")
	case p.Stall < 100*time.Millisecond:
		return errors.New("stall must be 100ms or more")
	case p.PAD != PADOff && p.PAD != PADEvaluatory && p.PAD != PADRequired:
		return fmt.Errorf("pad %q is none of %q, %q, %q", p.PAD, PADOff, PADEvaluatory, PADRequired)
	case !(p.LeastPAD >= 0 && p.LeastPAD <= 1):
		return errors.New("the least pad score must be 0 to 1")
	case p.PAD == PADRequired && p.LeastPAD == 0 && p.Challenge == ChallengeOff:
		return errors.New("pad is required, but there is neither a challenge nor a least score")
	case p.Challenge != ChallengeOff && p.Answer < time.Second:
		return errors.New("answer must be 1s or more")
	case p.PAD == PADOff && p.Challenge != ChallengeOff:
		return errors.New("pad is off, but there is a challenge")
	case !(p.Limits.InterEye > 0):
		return errors.New("limits of quality are not set")
	}
	return p.Challenge.check()
}

// Config is everything that a Matcher needs.
type Config struct {
	// Command starts the worker: the agent itself and the subcommand that
	// calls worker.Main.
	Command []string
	Pack    *pack.Pack
	Library string // libonnxruntime
	// Unconfined lets the worker run where the kernel cannot confine it.
	Unconfined bool
	Source     FrameSource
	Policy     Policy
	// KeepWorker lets one worker serve many travellers. It then wipes what
	// it knows of in between; copies that native code has left in freed
	// memory stay until they are overwritten. Otherwise each traveller has a
	// process of their own, and the next one starts when they leave.
	KeepWorker bool
	// MaxResident is the memory at which a kept worker is replaced between
	// two travellers; 0 stands for DefaultMaxResident.
	MaxResident uint64
	// Request bounds one picture in the worker; 0 stands for
	// worker.DefaultRequest.
	Request time.Duration
	// Now judges the period of the pack's calibration; nil stands for
	// time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// DefaultMaxResident is well above what a sound worker has.
const DefaultMaxResident = 256 << 20

// Matcher implements gate.Faces.
type Matcher struct {
	cfg   Config
	turn  chan struct{} // one attempt at a time
	ready chan struct{} // closed when the first start has succeeded or failed

	mu      sync.Mutex
	proc    *worker.Process
	problem error         // why there is none
	changed chan struct{} // closed and replaced when either changes
}

var _ gate.Faces = (*Matcher)(nil)

// New checks the parts. The worker runs while Run does.
func New(cfg Config) (*Matcher, error) {
	switch {
	case len(cfg.Command) == 0 || cfg.Library == "":
		return nil, errors.New("face: the worker's command and the runtime library are needed")
	case cfg.Pack == nil:
		return nil, errors.New("face: a model pack is needed")
	case cfg.Source == nil || cfg.Log == nil:
		return nil, errors.New("face: a camera and a log are needed")
	}
	if err := cfg.Policy.check(); err != nil {
		return nil, fmt.Errorf("face: policy: %w", err)
	}
	if cfg.Policy.PAD == PADRequired && cfg.Policy.LeastPAD > 0 && len(cfg.Pack.PAD) == 0 {
		return nil, fmt.Errorf("face: the policy requires a least presentation attack score, and pack %s has no model for it", cfg.Pack.Title())
	}
	if cfg.MaxResident == 0 {
		cfg.MaxResident = DefaultMaxResident
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Matcher{cfg: cfg, turn: make(chan struct{}, 1), ready: make(chan struct{}), changed: make(chan struct{}), problem: errNotStarted}
	m.turn <- struct{}{}
	return m, nil
}

var errNotStarted = errors.New("face worker: not started yet")

// Ready is closed when the first start of the worker has succeeded or failed.
func (m *Matcher) Ready() <-chan struct{} { return m.ready }

// Problem says why no worker serves; nil when one does.
func (m *Matcher) Problem() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.problem
}

// Pauses between starts of a worker that does not stay.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	// A worker that has served this long was sound.
	soundAfter = 30 * time.Second
)

// Run keeps a worker alive until ctx ends.
func (m *Matcher) Run(ctx context.Context) error {
	pause := firstPause
	for first := true; ctx.Err() == nil; first = false {
		begin := time.Now()
		p, err := worker.Start(ctx, worker.Config{
			Command: m.cfg.Command, Pack: m.cfg.Pack, Library: m.cfg.Library,
			Unconfined: m.cfg.Unconfined, Request: m.cfg.Request, Log: m.cfg.Log,
		})
		m.set(p, err)
		if first {
			close(m.ready)
		}
		if err == nil {
			m.cfg.Log.Debug("face worker serves", "pack", m.cfg.Pack.Title(), "start_ms", p.Started().Milliseconds(), "confined", p.Confined())
			m.attend(ctx, p)
			if p.Retired() { // as it should be
				m.set(nil, nil)
				pause = firstPause
				continue
			}
			m.set(nil, errors.New("face worker: ended, being started again"))
		} else if ctx.Err() == nil {
			m.cfg.Log.Error("face worker does not start; travellers go to staff", "err", err)
		}
		if time.Since(begin) > soundAfter {
			pause = firstPause
		}
		// Kiosks that lost power together do not start together.
		sleep(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, lastPause)
	}
	return nil
}

// attendEvery is how often an idle worker is looked after.
const attendEvery = 10 * time.Second

// attend looks after a worker until it dies or ctx ends.
func (m *Matcher) attend(ctx context.Context, p *worker.Process) {
	defer p.Close()
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Dead():
			return
		case <-tick.C:
		}
		select {
		case <-m.turn:
		default:
			continue // a traveller is there
		}
		keep := m.sound(ctx, p)
		m.turn <- struct{}{}
		if !keep {
			return
		}
	}
}

// sound says whether a worker without a traveller answers and has not grown.
// The caller holds the turn.
func (m *Matcher) sound(ctx context.Context, p *worker.Process) bool {
	n, err := p.End(ctx)
	if err == nil && n > m.cfg.MaxResident {
		m.cfg.Log.Warn("face worker has grown too large and is replaced", "mib", n>>20, "most_mib", m.cfg.MaxResident>>20)
		return false
	}
	return err == nil
}

func (m *Matcher) set(p *worker.Process, problem error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proc, m.problem = p, problem
	close(m.changed)
	m.changed = make(chan struct{})
}

// process waits for a worker.
func (m *Matcher) process(ctx context.Context) (*worker.Process, error) {
	for {
		m.mu.Lock()
		p, problem, changed := m.proc, m.problem, m.changed
		m.mu.Unlock()
		if p != nil {
			select {
			case <-p.Dead(): // a new one comes
			default:
				return p, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(problem, ctx.Err())
		}
	}
}

// Calibrated says whether the pack may admit now.
func (m *Matcher) Calibrated() bool {
	c := m.cfg.Pack.Calibration()
	return m.cfg.Pack.Admits() && (m.cfg.Pack.Demo() || c != nil && m.cfg.Now().Before(c.Expires))
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
