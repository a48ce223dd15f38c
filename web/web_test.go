package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/gate"
	"gateagent/internal/passhash"
)

// desk records what the pages ask of the lane.
type desk struct {
	mu     sync.Mutex
	srv    *Server
	helps  int
	can    string
	chosen []bool
	done   []string
	fail   error
}

func (d *desk) Help(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.helps++
	if d.fail == nil {
		d.srv.Show(view(gate.StageHelpComing, func(v *gate.View) { v.Help = true }))
	}
	return d.fail
}

func (d *desk) EnterCAN(_ context.Context, can gate.Secret) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(can) != 6 {
		return errors.New("a card access number has six digits")
	}
	d.can = string(can)
	return nil
}

func (d *desk) ChooseFace(_ context.Context, use bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chosen = append(d.chosen, use)
	return d.fail
}

func (d *desk) Resolve(_ context.Context, tx, operator, outcome, reason string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if tx != "t1" {
		return errors.New("this referral is not open any more")
	}
	d.done = append(d.done, strings.Join([]string{tx, operator, outcome, reason}, "/"))
	return nil
}

func view(stage gate.Stage, change ...func(*gate.View)) gate.View {
	v := gate.View{
		Gate: "SGN-G12", Tx: "t1", Stage: stage, Since: time.Now(), Policy: "boarding-default", FaceOff: true,
		Outcome: gate.Refer, Reasons: []gate.Code{gate.CodeDocumentFailed, gate.CodeDGHash},
		Checks: []gate.Check{
			{ID: gate.CheckDG(1), Result: gate.Failed, Code: gate.CodeDGHash},
			{ID: gate.CheckIntegrity, Result: gate.Failed, Code: gate.CodeDGHash},
		},
		List: "not_asked", Timing: map[string]int64{"total": 1240},
		Open:       []gate.Referral{{Tx: "t1", At: time.Now(), Reasons: []gate.Code{gate.CodeDocumentFailed, gate.CodeDGHash}, Checks: []gate.Check{{ID: gate.CheckDG(1), Result: gate.Failed, Code: gate.CodeDGHash}}}},
		Notices:    []gate.Notice{{Level: "warning", Source: "uplink", Text: "no connection to central, results are kept here"}},
		Clock:      gate.ClockStatus{Source: "held", Trusted: true, Since: time.Now().Add(-3 * time.Hour), Until: time.Now().Add(69 * time.Hour)},
		ListStatus: gate.ListStatus{Present: true, Generation: 1, Version: 7, Entries: 1200, Issued: time.Now().Add(-3 * time.Hour), Expires: time.Now().Add(69 * time.Hour)},
		QueueDepth: 12,
	}
	for _, c := range change {
		c(&v)
	}
	return v
}

const pin = "4711-test"

// serve starts a server with one operator on a free port.
func serve(t *testing.T) (*Server, *desk) {
	t.Helper()
	return serveWith(t, func(*Config) {})
}

// run connects a desk to a server and runs both until the test ends.
func run(t *testing.T, s *Server) *desk {
	t.Helper()
	d := &desk{srv: s}
	s.SetDesk(d)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			t.Error("the server did not stop")
		}
	})
	return d
}

// client is a browser's worth of HTTP.
type client struct {
	t    *testing.T
	base string
	http *http.Client
}

func newClient(t *testing.T, s *Server) *client {
	jar, _ := cookiejar.New(nil)
	return &client{t, "http://" + s.Addr(), &http.Client{Jar: jar, Timeout: 5 * time.Second}}
}

func (c *client) do(method, path, body string, change ...func(*http.Request)) (int, string) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if method != http.MethodGet {
		req.Header.Set("Origin", c.base)
	}
	for _, f := range change {
		f(req)
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text)
}

func (c *client) signIn() {
	c.t.Helper()
	if code, text := c.do("POST", "/staff/login", `{"name":"An Nguyen","pin":"`+pin+`"}`); code != http.StatusNoContent {
		c.t.Fatalf("sign-in: %d %s", code, text)
	}
}

func TestOnlyLoopback(t *testing.T) {
	for _, addr := range []string{"", "0.0.0.0:0", "[::]:0", "192.0.2.1:80", "localhost:0"} {
		if s, err := New(Config{Listen: addr, Log: slog.New(slog.DiscardHandler)}); err == nil {
			_ = s.listener.Close()
			t.Errorf("%q was taken", addr)
		}
	}
}

func TestGuard(t *testing.T) {
	s, d := serve(t)
	c := newClient(t, s)
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for _, tc := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"own page", "GET", "/", func(*http.Request) {}, 200},
		{"own help", "POST", "/help", func(*http.Request) {}, 204},
		{"rebinding", "GET", "/", host("evil.example"), 403},
		{"other port", "GET", "/", host("127.0.0.1:1"), 403},
		{"foreign origin", "POST", "/help", header("Origin", "http://evil.example"), 403},
		{"null origin", "POST", "/help", header("Origin", "null"), 403},
		{"no origin", "POST", "/help", func(r *http.Request) { r.Header.Del("Origin") }, 403},
		{"cross-site stream", "GET", "/events", header("Sec-Fetch-Site", "cross-site"), 403},
		{"staff without session", "GET", "/staff/view", func(*http.Request) {}, 401},
		{"resolve without session", "POST", "/staff/resolve", func(*http.Request) {}, 401},
		{"stream without session", "GET", "/staff/events", func(*http.Request) {}, 401},
		{"made-up session", "GET", "/staff/view", header("Cookie", cookieName+"=AAAA"), 401},
	} {
		if code, text := c.do(tc.method, tc.path, "", tc.change); code != tc.want {
			t.Errorf("%s: %d %s, want %d", tc.name, code, text, tc.want)
		}
	}
	if d.helps != 1 {
		t.Errorf("%d calls for help reached the lane, want the one of our own page", d.helps)
	}
}

// nextEvent reads one server-sent event.
func nextEvent(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return data
		}
	}
}

// The traveller's stream tells the step and nothing more, whatever the lane
// knows.
func TestTravellerNeverLearnsWhy(t *testing.T) {
	s, _ := serve(t)
	s.Show(view(gate.StageSeeStaff))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.Addr()+"/events", nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	if got := strings.TrimSpace(nextEvent(t, r)); got != `{"stage":"see_staff"}` {
		t.Errorf("the stream says %s", got)
	}
	s.Show(view(gate.StageReading, func(v *gate.View) {
		v.Step, v.Face = "dg2", &gate.FaceView{State: gate.FaceCapture, Hint: gate.HintCloser}
		v.FaceResult = &gate.FaceResult{Verdict: gate.FaceMatched, Score: 0.7, Threshold: 0.45}
	}))
	if got := strings.TrimSpace(nextEvent(t, r)); got != `{"stage":"reading","step":"dg2","face":"capture","hint":"closer"}` {
		t.Errorf("the stream says %s", got)
	}
	s.Show(view(gate.StageReading, func(v *gate.View) { v.Step = "dg2" }))
	if got := strings.TrimSpace(nextEvent(t, r)); got != `{"stage":"reading","step":"dg2"}` {
		t.Errorf("the stream says %s", got)
	}
}

func TestStaffResolves(t *testing.T) {
	s, d := serve(t)
	s.Show(view(gate.StageSeeStaff))
	c := newClient(t, s)
	c.signIn()
	code, text := c.do("GET", "/staff/view", "")
	var v struct {
		Open    []struct{ Tx string }
		FaceOff bool `json:"face_off"`
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil || code != 200 || len(v.Open) != 1 || !v.FaceOff {
		t.Fatalf("view: %d %s %v", code, text, err)
	}
	for body, want := range map[string]int{
		`{"tx":"t1","outcome":"refused","reason":"not entitled"}`:          204,
		`{"tx":"t2","outcome":"refused","reason":"not entitled"}`:          400,
		`{"tx":"t1","outcome":"refused","reason":"made up"}`:               400,
		`{"tx":"t1","outcome":"refused","reason":"not entitled","by":"x"}`: 400,
		`nonsense`: 400,
		`{"tx":"` + strings.Repeat("x", 5000) + `"}`: 400,
	} {
		if code, text := c.do("POST", "/staff/resolve", body); code != want {
			t.Errorf("%.60s: %d %s, want %d", body, code, text, want)
		}
	}
	if len(d.done) != 1 || d.done[0] != "t1/An Nguyen/refused/not entitled" {
		t.Errorf("resolved: %v", d.done)
	}
	c.do("POST", "/staff/logout", "")
	if code, _ := c.do("GET", "/staff/view", ""); code != 401 {
		t.Errorf("after signing out: %d", code)
	}
}

func TestSignInIsBounded(t *testing.T) {
	now := time.Now()
	ss := newSessions([]Operator{{"An", passhash.Hash([]byte(pin))}}, func() time.Time { return now })
	for range maxTries {
		if _, res := ss.signIn("An", "wrong"); res != signInWrong {
			t.Fatal(res)
		}
	}
	if _, res := ss.signIn("An", pin); res != signInLocked {
		t.Errorf("the right PIN after %d wrong ones: %v", maxTries, res)
	}
	if _, res := ss.signIn("Nobody", pin); res != signInWrong {
		t.Errorf("an unknown name: %v", res)
	}
	now = now.Add(lockFor + time.Second)
	token, res := ss.signIn("An", pin)
	if res != signInOK {
		t.Fatal(res)
	}
	now = now.Add(sessionIdle - time.Second)
	if _, ok := ss.who(token, false); !ok {
		t.Error("the session ended early")
	}
	now = now.Add(2 * time.Second)
	if _, ok := ss.who(token, true); ok {
		t.Error("an idle session lives on: an open page alone keeps it")
	}
	if _, res := newSessions(nil, time.Now).signIn("", ""); res == signInOK {
		t.Error("without operators somebody signed in")
	}
}

func TestChoiceGoesToTheLane(t *testing.T) {
	s, d := serve(t)
	c := newClient(t, s)
	for _, tc := range []struct {
		body string
		want int
	}{
		{`{"choice":"use"}`, 204}, {`{"choice":"person"}`, 204}, {`{}`, 400}, {`{"choice":""}`, 400}, {`{"choice":"yes"}`, 400},
		{`{"choice":true}`, 400}, {``, 400}, {`{"choice":"use","always":true}`, 400},
	} {
		if code, text := c.do("POST", "/face", tc.body); code != tc.want {
			t.Errorf("%s: %d %s", tc.body, code, text)
		}
	}
	if len(d.chosen) != 2 || !d.chosen[0] || d.chosen[1] {
		t.Errorf("the lane heard %v", d.chosen)
	}
	d.fail = errors.New("nobody was asked")
	if code, text := c.do("POST", "/face", `{"choice":"use"}`); code != 400 || !strings.Contains(text, "nobody was asked") {
		t.Errorf("%d %s", code, text)
	}
}

func TestCANGoesToTheLane(t *testing.T) {
	s, d := serve(t)
	c := newClient(t, s)
	if code, _ := c.do("POST", "/can", "123456"); code != 204 || d.can != "123456" {
		t.Errorf("%d %q", code, d.can)
	}
	if code, text := c.do("POST", "/can", "12"); code != 400 || !strings.Contains(text, "six digits") {
		t.Errorf("%d %s", code, text)
	}
	if code, _ := c.do("POST", "/can", strings.Repeat("1", maxBody+1)); code != 400 {
		t.Errorf("an endless number: %d", code)
	}
}

// A page that never reads cannot hold the lane up, and pages are bounded.
func TestSlowPagesDoNotHoldTheLane(t *testing.T) {
	s, _ := serve(t)
	for range maxStreams {
		res, err := http.Get("http://" + s.Addr() + "/events")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
	}
	c := newClient(t, s)
	if code, _ := c.do("GET", "/events", ""); code != 503 {
		t.Errorf("page %d: %d", maxStreams+1, code)
	}
	begin := time.Now()
	for range 2000 {
		s.Show(view(gate.StageReading))
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("2000 views took %v", took)
	}
}

// Nothing on the traveller's page speaks of reasons, and no file comes from
// elsewhere.
func TestPagesAreSelfContained(t *testing.T) {
	s, _ := serve(t)
	c := newClient(t, s)
	for _, path := range []string{"/", "/staff", "/static/traveller.css", "/static/traveller.js", "/static/camera.js", "/static/staff.css", "/static/staff.js"} {
		code, text := c.do("GET", path, "")
		if code != 200 || len(text) < 200 {
			t.Errorf("%s: %d, %d bytes", path, code, len(text))
		}
		if i := strings.Index(text, "https://"); i >= 0 {
			t.Errorf("%s names another host: %.60s", path, text[i:])
		}
	}
	_, js := c.do("GET", "/static/traveller.js", "")
	if bytes.Contains([]byte(js), []byte("reasons")) {
		t.Error("the traveller's page knows of reasons")
	}
}
