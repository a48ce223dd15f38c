//go:build faults

package faults

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/offline"
	"gateagent/uplink"
)

// jobEnv makes this test binary play a kiosk; it names the file of its job.
const jobEnv = "FAULTS_KIOSK"

// job is what a kiosk is told at its start.
type job struct {
	State      string
	Brokers    []string
	AckTimeout time.Duration
	Off        bool // no uplink
}

// state is what a kiosk says of itself.
type state struct {
	Depth   int
	Up      bool
	Epoch   string
	Refused int // appends that failed and were tried again
	Notices []gate.Notice
}

// station is the kiosk: outbox and uplink, wired as the agent wires them, and
// an own clock. It says each result after its Append returned.
type station struct {
	id  *wire.Identity
	box *offline.Outbox
	up  *uplink.Uplink

	ahead   atomic.Int64 // of the clock
	stopped atomic.Int64 // when not 0, the clock stands there
	refused atomic.Int64

	mu  sync.Mutex // guards the order of decisions and standard output
	out *bufio.Writer
}

func (s *station) now() time.Time {
	if at := s.stopped.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Now().Add(time.Duration(s.ahead.Load()))
}

func (s *station) say(format string, args ...any) {
	fmt.Fprintf(s.out, format+"\n", args...)
	_ = s.out.Flush() // the test that reads it ends us when it goes
}

// playKiosk runs until standard input ends or it is killed.
func playKiosk(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	s := &station{out: bufio.NewWriter(os.Stdout)}
	if s.id, err = wire.LoadIdentity(filepath.Join(j.State, wire.IdentityFolder)); err != nil {
		return err
	}
	if err := s.open(j); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if !j.Off {
		running.Go(func() { _ = s.up.Run(ctx) })
	}
	s.say("open %s", s.box.Queue().Epoch)
	s.obey(ctx)
	cancel()
	running.Wait()
	return s.box.Close()
}

// open opens the outbox, on a failing disk until it works again.
func (s *station) open(j job) (err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx := context.Background()
	for {
		s.box, err = offline.Open(ctx, offline.Config{Dir: j.State, Kiosk: s.id.Name, Seal: s.id.SealTo, MinFree: -1, Timeout: 20 * time.Second, Now: s.now, Log: log})
		if err == nil {
			break
		}
		if s.refused.Add(1); !failing() {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.up, err = uplink.New(uplink.Config{Identity: s.id, Brokers: j.Brokers, Store: s.box, Now: s.now, Log: log, Status: func() wire.Status { return wire.Status{Gate: "G12"} },
		AckTimeout: j.AckTimeout, Dial: 2 * time.Second, RedialMin: 10 * time.Millisecond, RedialMax: 300 * time.Millisecond, Heartbeat: 2 * time.Second})
	return err
}

// failing says whether this process's disk was made to fail.
func failing() bool { return os.Getenv("POINT_WHILE") != "" }

// obey does what standard input says.
func (s *station) obey(ctx context.Context) {
	in := bufio.NewReader(os.Stdin)
	var load sync.WaitGroup
	loaded := false
	stop := make(chan struct{})
	defer load.Wait()
	defer close(stop)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if err != io.EOF {
				fmt.Fprintln(os.Stderr, err)
			}
			return
		}
		var n int
		var step time.Duration
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "decide": // decide N STEP: the clock goes on by STEP after each
			var text string
			_, _ = fmt.Sscan(rest, &n, &text) // our own line
			step, _ = time.ParseDuration(text)
			for range n {
				s.decide(ctx)
				s.ahead.Add(int64(step))
			}
			s.reply("done")
		case "load":
			if !loaded {
				load.Go(func() { s.load(ctx, stop) })
			}
			loaded = true
		case "ahead":
			step, _ = time.ParseDuration(rest)
			s.stopped.Store(0)
			s.ahead.Store(int64(step))
			s.reply("done")
		case "stand": // the clock stands
			s.stopped.Store(s.now().UnixNano())
			s.reply("done")
		case "look":
			b, _ := json.Marshal(state{Depth: s.box.Depth(), Up: s.up.Up(), Epoch: s.box.Queue().Epoch, Refused: int(s.refused.Load()), Notices: append(s.up.Notices(), s.box.Notices()...)})
			s.reply("%s", b)
		}
	}
}

func (s *station) reply(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say("reply "+format, args...)
}

func (s *station) load(ctx context.Context, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		s.decide(ctx)
		if mrand.IntN(4) == 0 {
			time.Sleep(time.Duration(mrand.IntN(2000)) * time.Microsecond)
		}
	}
}

// decide stores one result, tried again as the lane does, and says so.
func (s *station) decide(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	rec := wire.Record{V: wire.RecordVersion, Kind: wire.KindDecision, Tx: hex.EncodeToString(id[:]), Gate: "G12",
		Decision: &wire.Decision{Outcome: wire.OutcomeAbort, Reasons: []uint32{6003}, Overall: "aborted", Policy: "faults", Face: "off"}}
	if err := s.box.Stamp(&rec, s.now(), true); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	for {
		n, err := s.box.Append(ctx, rec)
		if err == nil {
			s.say("told %d %s", n, rec.Tx)
			return
		}
		if s.refused.Add(1) == 1 {
			fmt.Fprintln(os.Stderr, "refused:", err)
		}
		if !failing() {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
