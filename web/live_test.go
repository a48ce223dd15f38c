package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gateagent/drivers/camera"
	"gateagent/gate"
	"gateagent/internal/passhash"
	"gateagent/sim/face"
)

// sink stands for the camera that takes the page's pictures.
type sink struct {
	changes chan bool

	mu     sync.Mutex
	frames []string
	lost   int
	fail   error
}

func newSink() *sink { return &sink{changes: make(chan bool, 1)} }

func (s *sink) Changes() <-chan bool { return s.changes }

func (s *sink) Offer(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, string(b))
	return s.fail
}

func (s *sink) Lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost++
}

func (s *sink) got() ([]string, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.frames...), s.lost
}

// serveWith starts a server with a camera.
func serveWith(t *testing.T, change func(*Config)) (*Server, *desk) {
	t.Helper()
	cfg := Config{
		Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Reasons: []string{"identity checked by hand", "not entitled"},
		Operators: []Operator{{"An Nguyen", passhash.Hash([]byte(pin))}},
	}
	change(&cfg)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s)
}

// secretOf fetches the secret as a page does.
func (c *client) secretOf() (code int, secret, owner string) {
	c.t.Helper()
	code, text := c.do("POST", "/camera/secret", "")
	var in struct{ Secret, Owner string }
	if code == http.StatusOK {
		if err := json.Unmarshal([]byte(text), &in); err != nil {
			c.t.Fatal(err)
		}
	}
	return code, in.Secret, in.Owner
}

// dial opens the picture socket with a proof.
func dial(t *testing.T, s *Server, proof string, change ...func(*websocket.DialOptions)) (*websocket.Conn, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	opts := &websocket.DialOptions{Subprotocols: []string{protocolName, proof}, HTTPHeader: http.Header{"Origin": {"http://" + s.Addr()}}}
	for _, f := range change {
		f(opts)
	}
	c, res, err := websocket.Dial(ctx, "ws://"+s.Addr()+"/camera", opts)
	if err != nil {
		if res == nil {
			t.Fatal(err)
		}
		return nil, res.StatusCode
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c, res.StatusCode
}

func hear(t *testing.T, c *websocket.Conn) note {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var n note
	if err := json.Unmarshal(b, &n); err != nil {
		t.Fatalf("%.40q: %v", b, err)
	}
	return n
}

func send(t *testing.T, c *websocket.Conn, kind websocket.MessageType, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Write(ctx, kind, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// cut waits until the server has closed the connection.
func cut(t *testing.T, c *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			if ctx.Err() != nil {
				t.Fatal("the connection stays")
			}
			return
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// The whole way of the page's pictures, and what is refused on it.
func TestPageCameraSocket(t *testing.T) {
	k := newSink()
	s, _ := serveWith(t, func(c *Config) { c.Camera = k })
	if s.CameraProblem() == "" {
		t.Error("a camera without a page is in order")
	}
	cl := newClient(t, s)
	code, secret, owner := cl.secretOf()
	if code != 200 || owner != "page" || len(secret) < 20 {
		t.Fatalf("%d %q", code, owner)
	}
	if code, _, _ := cl.secretOf(); code != http.StatusConflict {
		t.Errorf("a second page gets the secret: %d", code)
	}
	c, code := dial(t, s, proofOf(secret, 1))
	if code != http.StatusSwitchingProtocols {
		t.Fatalf("the page: %d", code)
	}
	if s.CameraProblem() != "" {
		t.Errorf("connected, and yet: %s", s.CameraProblem())
	}
	k.changes <- true
	first := hear(t, c)
	if len(first.On) != attemptLen {
		t.Fatalf("%+v", first)
	}
	send(t, c, websocket.MessageBinary, first.On+"picture one")
	eventually(t, "the picture did not arrive", func() bool { f, _ := k.got(); return len(f) == 1 && f[0] == "picture one" })
	k.changes <- false
	if n := hear(t, c); !n.Off {
		t.Errorf("%+v", n)
	}
	k.changes <- true
	second := hear(t, c)
	if second.On == "" || second.On == first.On {
		t.Errorf("%+v after %+v", second, first)
	}
	send(t, c, websocket.MessageBinary, first.On+"late picture of the traveller before")
	send(t, c, websocket.MessageBinary, second.On+"picture two")
	eventually(t, "the second attempt's picture did not arrive", func() bool { f, _ := k.got(); return len(f) == 2 && f[1] == "picture two" })
	send(t, c, websocket.MessageBinary, strings.Repeat("x", attemptLen)+"made up")
	cut(t, c)
	eventually(t, "the attempt went on without its page", func() bool { _, lost := k.got(); return lost == 1 })
	if f, _ := k.got(); len(f) != 2 {
		t.Errorf("pictures: %q", f)
	}
}

func TestPageCameraRefuses(t *testing.T) {
	k := newSink()
	s, _ := serveWith(t, func(c *Config) { c.Camera = k })
	origin := func(o ...string) func(*websocket.DialOptions) {
		return func(d *websocket.DialOptions) { d.HTTPHeader = http.Header{"Origin": o} }
	}
	if _, code := dial(t, s, proofOf("", 1)); code != 403 {
		t.Errorf("before anybody has the secret: %d", code)
	}
	_, secret, _ := newClient(t, s).secretOf()
	for _, tc := range []struct {
		name   string
		proof  string
		change func(*websocket.DialOptions)
	}{
		{"no proof", "", func(d *websocket.DialOptions) { d.Subprotocols = []string{protocolName} }},
		{"the bare secret", secret, origin("http://" + s.Addr())},
		{"a proof of another start", proofOf("OTHERSECRET", 5), origin("http://" + s.Addr())},
		{"number zero", proofOf(secret, 0), origin("http://" + s.Addr())},
		{"foreign origin", proofOf(secret, 5), origin("http://evil.example")},
		{"null origin", proofOf(secret, 5), origin("null")},
		{"another port", proofOf(secret, 5), origin("http://127.0.0.1:1")},
		{"no origin", proofOf(secret, 5), origin()},
		{"rebinding", proofOf(secret, 5), func(d *websocket.DialOptions) { d.Host = "evil.example" }},
		{"cross-site", proofOf(secret, 5), func(d *websocket.DialOptions) { d.HTTPHeader.Set("Sec-Fetch-Site", "cross-site") }},
	} {
		if _, code := dial(t, s, tc.proof, tc.change); code != 403 {
			t.Errorf("%s: %d", tc.name, code)
		}
	}
	c, code := dial(t, s, proofOf(secret, 7))
	if code != 101 {
		t.Fatalf("the page itself: %d", code)
	}
	if _, code := dial(t, s, proofOf(secret, 7)); code != 403 {
		t.Errorf("a replayed proof while the page is there: %d", code)
	}
	if _, code := dial(t, s, proofOf(secret, 8)); code != 409 {
		t.Errorf("a second page: %d", code)
	}
	k.changes <- true
	on := hear(t, c)
	if _, code := dial(t, s, proofOf(secret, 9)); code != 409 {
		t.Errorf("a stream injected half-way: %d", code)
	}
	send(t, c, websocket.MessageBinary, on.On+"still ours")
	eventually(t, "the page's own stream suffered", func() bool { f, _ := k.got(); return len(f) == 1 })
	_ = c.CloseNow()
	eventually(t, "the attempt went on without its page", func() bool { _, lost := k.got(); return lost == 1 })
	if _, code := dial(t, s, proofOf(secret, 10)); code != 409 {
		t.Errorf("a stream that takes over a running attempt: %d", code)
	}
	k.changes <- false
	eventually(t, "the attempt does not end", func() bool { s.live.mu.Lock(); defer s.live.mu.Unlock(); return s.live.attempt == "" })
	for _, n := range []uint64{7, 3} {
		if _, code := dial(t, s, proofOf(secret, n)); code != 403 {
			t.Errorf("replayed proof %d after the page left: %d", n, code)
		}
	}
	if _, code := dial(t, s, proofOf(secret, 11)); code != 101 {
		t.Errorf("the page again: %d", code)
	}
}

func TestPageMisbehaves(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, c *websocket.Conn, mark string){
		"huge": func(t *testing.T, c *websocket.Conn, mark string) {
			_ = c.Write(t.Context(), websocket.MessageBinary, make([]byte, maxMessage+1))
		},
		"empty": func(t *testing.T, c *websocket.Conn, _ string) { send(t, c, websocket.MessageBinary, "") },
		"wild words": func(t *testing.T, c *websocket.Conn, _ string) {
			send(t, c, websocket.MessageText, `{"problem":"<script>"}`)
		},
		"no JSON": func(t *testing.T, c *websocket.Conn, _ string) { send(t, c, websocket.MessageText, "hello") },
		"flood": func(t *testing.T, c *websocket.Conn, mark string) {
			for range maxSecond + 5 {
				_ = c.Write(t.Context(), websocket.MessageBinary, []byte(mark+"x"))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newSink()
			s, _ := serveWith(t, func(c *Config) { c.Camera = k })
			_, secret, _ := newClient(t, s).secretOf()
			c, _ := dial(t, s, proofOf(secret, 1))
			k.changes <- true
			mark := hear(t, c).On
			do(t, c, mark)
			cut(t, c)
			eventually(t, "the attempt went on", func() bool { _, lost := k.got(); return lost == 1 })
		})
	}
}

// A browser that has no camera ends the attempt, staff learn it, and a good
// picture later clears it. A refused picture does not cost the connection.
func TestPageHasNoCamera(t *testing.T) {
	k := newSink()
	s, _ := serveWith(t, func(c *Config) { c.Camera = k })
	_, secret, _ := newClient(t, s).secretOf()
	c, _ := dial(t, s, proofOf(secret, 1))
	k.changes <- true
	hear(t, c)
	send(t, c, websocket.MessageText, `{"problem":"NotAllowedError"}`)
	eventually(t, "the attempt went on", func() bool { _, lost := k.got(); return lost == 1 })
	if p := s.CameraProblem(); !strings.Contains(p, "NotAllowedError") {
		t.Errorf("staff learn %q", p)
	}
	k.changes <- true
	on := hear(t, c)
	for on.On == "" {
		on = hear(t, c)
	}
	k.mu.Lock()
	k.fail = errors.New("not a picture")
	k.mu.Unlock()
	send(t, c, websocket.MessageBinary, on.On+"bad")
	eventually(t, "no picture", func() bool { f, _ := k.got(); return len(f) == 1 })
	k.mu.Lock()
	k.fail = nil
	k.mu.Unlock()
	send(t, c, websocket.MessageBinary, on.On+"good")
	eventually(t, "the problem stays after a good picture", func() bool { return s.CameraProblem() == "" })
}

// Without a page an attempt ends at once, and an operator can let a page that
// lost its secret connect anew.
func TestNoPageAndRearming(t *testing.T) {
	k := newSink()
	s, _ := serveWith(t, func(c *Config) { c.Camera = k })
	s.Show(view(gate.StageReading))
	k.changes <- true
	eventually(t, "an attempt without a page went on", func() bool { _, lost := k.got(); return lost == 1 })
	k.changes <- false
	cl := newClient(t, s)
	_, old, _ := cl.secretOf()
	eventually(t, "still on", func() bool { s.live.mu.Lock(); defer s.live.mu.Unlock(); return s.live.attempt == "" })
	c, _ := dial(t, s, proofOf(old, 1))
	if code, _ := cl.do("POST", "/staff/camera", ""); code != 401 {
		t.Errorf("without an operator: %d", code)
	}
	cl.signIn()
	if code, _ := cl.do("POST", "/staff/camera", ""); code != 204 {
		t.Errorf("the operator: %d", code)
	}
	cut(t, c)
	_, text := cl.do("GET", "/staff/view", "")
	if !strings.Contains(text, `"camera_problem":"no kiosk page`) {
		t.Errorf("staff learn %s", text)
	}
	if _, code := dial(t, s, proofOf(old, 2)); code != 403 {
		t.Errorf("the old secret: %d", code)
	}
	_, fresh, _ := cl.secretOf()
	if _, code := dial(t, s, proofOf(fresh, 1)); code != 101 || fresh == old {
		t.Errorf("the fresh secret: %d", code)
	}
}

// The agent's own camera: one page sees the newest picture, only while the
// camera is on, and can send none.
func TestMirror(t *testing.T) {
	s, _ := serveWith(t, func(c *Config) { c.MirrorAgent = true })
	cl := newClient(t, s)
	_, secret, owner := cl.secretOf()
	if owner != "agent" || s.CameraProblem() != "" {
		t.Errorf("%s, %s", owner, s.CameraProblem())
	}
	unseen := []byte("nobody looks")
	s.Mirror(unseen)
	if unseen[0] != 0 {
		t.Error("a picture that nobody sees was kept")
	}
	s.Mirror(nil)
	c, code := dial(t, s, proofOf(secret, 1))
	if code != 101 {
		t.Fatal(code)
	}
	if code, _, _ := cl.secretOf(); code != 409 {
		t.Errorf("a second page gets the picture: %d", code)
	}
	s.Mirror([]byte("a picture"))
	if n := hear(t, c); n.On == "" {
		t.Errorf("%+v", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if kind, b, err := c.Read(ctx); err != nil || kind != websocket.MessageBinary || string(b) != "a picture" {
		t.Errorf("%q %v", b, err)
	}
	s.Mirror(nil)
	if n := hear(t, c); !n.Off {
		t.Errorf("%+v", n)
	}
	send(t, c, websocket.MessageBinary, strings.Repeat("x", attemptLen)+"a picture of its own")
	cut(t, c)
	eventually(t, "the page stays", func() bool { s.live.mu.Lock(); defer s.live.mu.Unlock(); return s.live.page == nil })
	if _, fresh, _ := cl.secretOf(); fresh == "" || fresh == secret {
		t.Error("the next page gets no fresh secret")
	}
}

func TestWithoutACameraThereIsNone(t *testing.T) {
	s, _ := serve(t)
	cl := newClient(t, s)
	if code, _, _ := cl.secretOf(); code != 404 {
		t.Errorf("secret: %d", code)
	}
	if _, code := dial(t, s, proofOf("x", 1)); code != 404 {
		t.Errorf("socket: %d", code)
	}
	s.Mirror([]byte("nothing happens"))
	if s.CameraProblem() != "" {
		t.Error(s.CameraProblem())
	}
	res, err := http.Get("http://" + s.Addr() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if p := res.Header.Get("Permissions-Policy"); !strings.Contains(p, "camera=()") {
		t.Errorf("the page may use a camera: %s", p)
	}
	if _, err := New(Config{Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Camera: newSink(), MirrorAgent: true}); err == nil {
		t.Error("a camera with two owners was taken")
	}
}

// The real camera behind the socket: the agent's attempt gets the page's
// picture, and ends when the page leaves.
func TestRealCameraBehindTheSocket(t *testing.T) {
	p := camera.NewPage()
	s, _ := serveWith(t, func(c *Config) { c.Camera = p })
	_, secret, _ := newClient(t, s).secretOf()
	c, _ := dial(t, s, proofOf(secret, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	frames, err := p.Start(ctx)
	if err != nil {
		t.Fatal(err)
	}
	on := hear(t, c)
	pic, err := face.JPEG(face.Nobody(1, 96, 80)[0], 80)
	if err != nil {
		t.Fatal(err)
	}
	send(t, c, websocket.MessageBinary, on.On+string(pic))
	if f := <-frames; f.Width != 96 || f.Height != 80 {
		t.Errorf("%d×%d", f.Width, f.Height)
	}
	_ = c.CloseNow()
	if _, open := <-frames; open || !errors.Is(p.Healthy(), camera.ErrVanished) {
		t.Errorf("the page left: %v", p.Healthy())
	}
	if _, err := p.Start(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an attempt without a page goes on", func() bool { return !p.Active() })
}
