package fleet

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestTriesComeBackSlowly(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGuard(nil, "token")
	g.now = func() time.Time { return now }
	for i := range tries {
		if !g.attempt("a") {
			t.Fatalf("try %d refused", i+1)
		}
	}
	if g.attempt("a") {
		t.Fatal("one more than allowed")
	}
	if !g.attempt("b") {
		t.Fatal("another source pays for the first")
	}
	now = now.Add(tryEvery - time.Second)
	if g.attempt("a") {
		t.Fatal("a try came back too early")
	}
	now = now.Add(time.Second)
	if !g.attempt("a") || g.attempt("a") {
		t.Fatal("exactly one try should be back")
	}
}

func TestSourcesAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGuard(nil, "token")
	g.now = func() time.Time { return now }
	for i := range maxSources {
		g.attempt(strings.Repeat("x", i%7) + time.Duration(i).String())
	}
	if g.attempt("one more") || len(g.sources) > maxSources {
		t.Fatalf("%d sources are remembered", len(g.sources))
	}
	now = now.Add(2 * tries * tryEvery)
	if !g.attempt("one more") || len(g.sources) != 1 {
		t.Fatalf("old sources are not forgotten: %d", len(g.sources))
	}
}

func TestSessionsEnd(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGuard(nil, "token")
	g.now = func() time.Time { return now }
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: g.open("admin")})
	end := now.Add(sessionLife)
	for ; now.Before(end); now = now.Add(sessionIdle - time.Minute) {
		if g.who(r) != "admin" {
			t.Fatalf("the session ended early, %s before its time", end.Sub(now))
		}
	}
	now = end.Add(time.Second)
	if g.who(r) != "" {
		t.Fatal("the session outlives its time")
	}
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: g.open("admin")})
	now = now.Add(sessionIdle + time.Second)
	if g.who(r) != "" {
		t.Fatal("an idle session stays open")
	}
}

func TestStoredPasswords(t *testing.T) {
	stored := HashPassword("correct horse")
	if !checkPassword(stored, "correct horse") || checkPassword(stored, "correct horsf") {
		t.Fatal("passwords are compared wrongly")
	}
	for _, bad := range []string{"", "correct horse", "$argon2id$v=19$m=65536,t=3,p=2$$", strings.Replace(stored, "argon2id", "argon2i", 1),
		strings.Replace(stored, "m=65536", "m=4294967295", 1), strings.Replace(stored, "t=3", "t=0", 1)} {
		if checkPassword(bad, "correct horse") || checkPassword(bad, "") {
			t.Errorf("%q matches a password", bad)
		}
	}
	a, b := NewPassword(), NewPassword()
	if a == b || len(a) != 24 {
		t.Errorf("passwords %q, %q", a, b)
	}
}

func TestDecoyMatchesNothing(t *testing.T) {
	g := newGuard(func(context.Context, string) (string, error) { return "", nil }, "token")
	if _, err := g.login(t.Context(), "a", "nobody", ""); err != errWrong {
		t.Errorf("login of nobody: %v", err)
	}
}
