package fleet_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/central/ca"
	"gateagent/central/fleet"
	"gateagent/central/store"
	"gateagent/gate/wire"
)

// site is a page over a store with a small fleet in it.
type site struct {
	*fleet.Server
	store    *store.Store
	ca       *ca.Authority
	dir      string
	password string
	health   []string

	mu   sync.Mutex
	live []store.Live // guarded by mu once the page is asked for
}

func (s *site) setLive(l []store.Live) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = l
}

func (s *site) getLive() []store.Live {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

func open(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	var err error
	if s.ca, err = ca.Open(filepath.Join(s.dir, "ca")); err != nil {
		t.Fatal(err)
	}
	if s.store, err = store.Open(t.Context(), s.dir); err != nil {
		t.Fatal(err)
	}
	conf, err := s.ca.ServerTLS([]string{"127.0.0.1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	s.Server, err = fleet.Open(t.Context(), fleet.Config{Addr: "127.0.0.1:0", TLS: conf, State: s.dir, Names: []string{"127.0.0.1"},
		Store: s.store, Live: s.getLive, Health: func() []string { return s.health }},
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, s.password = s.First(); s.password == "" {
		t.Fatal("the first start made no password")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) client(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool()}, ForceAttemptHTTP2: true}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func (s *site) login(t *testing.T, c *http.Client, name, password string) (int, string) {
	t.Helper()
	return finish(t)(c.PostForm(s.URL()+"login", url.Values{"operator": {name}, "password": {password}}))
}

func finish(t *testing.T) func(*http.Response, error) (int, string) {
	return func(r *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
}

func TestNothingWithoutALogin(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fill(t)
	c := s.client(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for path, want := range map[string]int{"": 303, "kiosks/sgn-g11": 303, "stream": 401, "api/kiosks.json": 401, "api/results.json": 401, "login": 200} {
		if code, body := finish(t)(c.Get(s.URL() + path)); code != want || strings.Contains(body, "sgn-g11") {
			t.Errorf("GET /%s without a login: %d", path, code)
		}
	}
	for _, path := range []string{"logout", "alarms/1/seen"} {
		if code, _ := finish(t)(c.Post(s.URL()+path, "", nil)); code != 401 {
			t.Errorf("POST /%s without a login: %d", path, code)
		}
	}
}

func TestLoginSessionLogout(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fill(t)
	c := s.client(t)
	if code, body := s.login(t, c, "admin", "wrong"); code != 401 || !strings.Contains(body, "wrong") {
		t.Fatalf("wrong password: %d", code)
	}
	if code, _ := s.login(t, c, "nobody", s.password); code != 401 {
		t.Fatalf("unknown operator: %d", code)
	}
	if code, body := s.login(t, c, "admin", s.password); code != 200 || !strings.Contains(body, "sgn-g11") {
		t.Fatalf("right password: %d", code)
	}
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Jar.Cookies(u); len(got) != 1 || got[0].Name != "__Host-fleet" {
		t.Fatalf("cookies: %v", got)
	}
	stolen := c.Jar.Cookies(u)
	if code, _ := finish(t)(c.PostForm(s.URL()+"logout", nil)); code != 200 {
		t.Fatalf("logout: %d", code)
	}
	c.Jar.SetCookies(u, stolen)
	if code, body := finish(t)(c.Get(s.URL())); code != 200 || strings.Contains(body, "sgn-g11") {
		t.Fatal("the cookie works after the logout")
	}
}

func TestCookieAttributesAndHeaders(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := s.client(t)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := c.PostForm(s.URL()+"login", url.Values{"operator": {"admin"}, "password": {s.password}})
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	cookie := r.Header.Get("Set-Cookie")
	for _, want := range []string{"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("policy %q", csp)
	}
}

func TestForeignPagesCannotAct(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := s.client(t)
	s.login(t, c, "admin", s.password)
	for _, header := range [][2]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"logout", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header[0], header[1])
		if code, _ := finish(t)(c.Do(req)); code != 403 {
			t.Errorf("POST with %s: %d", header, code)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	if code, _ := finish(t)(c.Do(req)); code != 421 {
		t.Errorf("another Host: %d", code)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	t.Parallel()
	s := open(t)
	c := s.client(t)
	got := map[int]int{}
	for range 12 { // a slow machine regains a try meanwhile
		code, _ := s.login(t, c, "admin", "guess")
		got[code]++
	}
	if got[401] < 5 || got[429] == 0 || got[401]+got[429] != 12 {
		t.Errorf("twelve guesses: %v", got)
	}
}

func TestSecondStartShowsNoPassword(t *testing.T) {
	t.Parallel()
	s := open(t)
	conf, err := s.ca.ServerTLS([]string{"127.0.0.1"}, false)
	if err != nil {
		t.Fatal(err)
	}
	again, err := fleet.Open(t.Context(), fleet.Config{Addr: "127.0.0.1:0", TLS: conf, State: s.dir, Store: s.store,
		Live: func() []store.Live { return nil }, Health: func() []string { return nil }}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if name, password := again.First(); name != "" || password != "" {
		t.Error("a second start shows a password")
	}
	stored, err := s.store.Operator(t.Context(), "admin")
	if err != nil || !strings.HasPrefix(stored, "$argon2id$") || strings.Contains(stored, s.password) {
		t.Errorf("stored as %q, %v", stored, err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fill(t)
	s.health = []string{"No connection to the broker since 12:00"}
	if err := s.store.RaiseAlarm(t.Context(), store.Alarm{Kiosk: "sgn-g11", Kind: store.AlarmConflict, Text: `<script>alert("x")</script>`, First: time.Now()}); err != nil {
		t.Fatal(err)
	}
	c := s.client(t)
	_, body := s.login(t, c, "admin", s.password)
	for _, want := range []string{"sgn-g11", "SGN-G12", "present", "silent", "absent", "unseen", "revoked", "stolen from the depot", "list_not_found",
		"document_failed", "expired", "face comparison off", "certificate ends", "replug it", "Contradicting results", "&lt;script&gt;", "No connection to the broker"} {
		if !strings.Contains(body, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
	if strings.Contains(body, "<script>alert") {
		t.Error("an alarm's text became markup")
	}
	code, body := finish(t)(c.Get(s.URL() + "kiosks/sgn-g11"))
	if code != 200 || !strings.Contains(body, "document_aborted") || !strings.Contains(body, "1.4.0") {
		t.Errorf("kiosk page: %d", code)
	}
	if code, _ := finish(t)(c.Get(s.URL() + "kiosks/nobody")); code != 404 {
		t.Errorf("page of nobody: %d", code)
	}
	if code, body := finish(t)(c.PostForm(s.URL()+"alarms/1/seen", nil)); code != 200 || strings.Contains(body, "Contradicting results") {
		t.Errorf("an alarm that was seen is still open: %d", code)
	}
}

// A kiosk that began more epochs, and gave more reasons, than the page shows:
// the page says how many there are.
func TestPageSaysThatThereIsMore(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fill(t)
	var all []store.Batch
	for i := range 70 {
		body := []byte("{}")
		e := wire.Entry{Number: 1, Prev: wire.ChainStart(), Hash: wire.BodyHash(body), Body: body}
		b, err := wire.NewBatch("sgn-g13", fmt.Sprintf("%032x", i), wire.ChainStart(), []wire.Entry{e})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, store.Batch{Batch: b, SigningKey: make([]byte, 32), Received: time.Now(),
			Facts: []store.Facts{{Kind: wire.KindDecision, Outcome: wire.OutcomeRefer, Reason: uint32(i + 1)}}})
	}
	if _, err := s.store.Ingest(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	c := s.client(t)
	s.login(t, c, "admin", s.password)
	code, body := finish(t)(c.Get(s.URL() + "kiosks/sgn-g13"))
	if code != 200 || !strings.Contains(body, "and 50 older") || !strings.Contains(body, "and 66 more") {
		t.Errorf("kiosk page: %d %s", code, body)
	}
}

// api asks for a path with a token and decodes the answer.
func (s *site) api(t *testing.T, path, token string, into any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	code, body := finish(t)(s.client(t).Do(req))
	if into != nil {
		if err := json.Unmarshal([]byte(body), into); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return code
}

// token reads the API token as a tool would.
func (s *site) token(t *testing.T) string {
	t.Helper()
	path := filepath.Join(s.dir, fleet.TokenFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info, err)
	}
	token, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}

func TestKiosksForTools(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fill(t)
	good := s.token(t)
	for _, bad := range []string{"", "x", good + "0"} {
		if code := s.api(t, "api/kiosks.json", bad, nil); code != 401 {
			t.Errorf("token %q: %d", bad, code)
		}
	}
	var f fleet.FleetJSON
	if code := s.api(t, "api/kiosks.json", good, &f); code != 200 || len(f.Kiosks) != 6 {
		t.Fatalf("%d, %d kiosks", code, len(f.Kiosks))
	}
	for _, k := range f.Kiosks {
		if k.Kiosk == "sgn-g11" && (k.State != "present" || k.Results != 70 || k.Status == nil) {
			t.Errorf("%+v", k)
		}
	}
}

func TestResultsForTools(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.fill(t)
	token := s.token(t)
	var all, page fleet.ResultsJSON
	s.api(t, "api/results.json", token, &all)
	if len(all.Results) != 70+27+6 || all.Next != 0 {
		t.Errorf("%d results, next %d", len(all.Results), all.Next)
	}
	n := 0
	for after := int64(0); ; after = page.Next {
		page = fleet.ResultsJSON{}
		s.api(t, "api/results.json?kiosk=sgn-g12&limit=10&after="+jsonNumber(after), token, &page)
		n += len(page.Results)
		for _, r := range page.Results {
			if r.Kiosk != "sgn-g12" || !strings.Contains(string(r.Record), `"decision"`) {
				t.Fatalf("%+v", r)
			}
		}
		if page.Next == 0 {
			break
		}
	}
	if n != 27 {
		t.Errorf("%d results of one kiosk in pages", n)
	}
	s.api(t, "api/results.json?since="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)), token, &page)
	if len(page.Results) != 0 {
		t.Errorf("%d results from the future", len(page.Results))
	}
	for _, q := range []string{"since=yesterday", "after=x", "limit=0", "limit=100000"} {
		if code := s.api(t, "api/results.json?"+q, token, nil); code != 400 {
			t.Errorf("?%s: %d", q, code)
		}
	}
}

func jsonNumber(n int64) string {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // cannot happen
	}
	return string(b)
}
