// Package fleet is central's web page: every kiosk at a glance behind TLS and
// a login, and the same as JSON for tools that hold the token.
package fleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gateagent/central/store"
	"gateagent/internal/durable"
)

// TokenFile holds the API token inside central's state folder, mode 0600.
const TokenFile = "api.token"

// FirstOperator is the operator that the first start makes.
const FirstOperator = "admin"

//go:embed assets
var assets embed.FS

// Config of the page.
type Config struct {
	Addr  string // host:port; port 0 takes a free one
	TLS   *tls.Config
	State string   // folder of the token
	Names []string // host names under which the page may be asked for
	Store *store.Store
	// Live gives what was last heard of each kiosk, Health what is wrong with
	// central itself.
	Live   func() []store.Live
	Health func() []string
}

// Server is the page's server.
type Server struct {
	conf  Config
	log   *slog.Logger
	lis   net.Listener
	http  *http.Server
	guard *guard
	pages *template.Template
	view  *viewer
	seats chan struct{} // open streams
	first string
}

// Open listens, makes the token and the first operator where there is none,
// and returns; Run serves.
func Open(ctx context.Context, c Config, log *slog.Logger) (_ *Server, err error) {
	s := &Server{conf: c, log: log, view: newViewer(c), seats: make(chan struct{}, maxStreams)}
	token, err := readToken(filepath.Join(c.State, TokenFile))
	if err != nil {
		return nil, err
	}
	s.guard = newGuard(c.Store.Operator, token)
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if s.lis, err = net.Listen("tcp", c.Addr); err != nil {
		return nil, fmt.Errorf("fleet page cannot listen on %s: %w: choose another address, or end what listens there", c.Addr, err)
	}
	if err := s.firstOperator(ctx); err != nil {
		return nil, errors.Join(err, s.lis.Close())
	}
	s.http = &http.Server{Handler: s.handler(), TLSConfig: c.TLS, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	return s, nil
}

func (s *Server) firstOperator(ctx context.Context) error {
	some, err := s.conf.Store.HasOperators(ctx)
	if err != nil || some {
		return err
	}
	password := NewPassword()
	made, err := s.conf.Store.SetOperator(ctx, FirstOperator, HashPassword(password), true, time.Now())
	if err != nil {
		return fmt.Errorf("make the first operator: %w", err)
	}
	if made {
		s.first = password
	}
	return nil
}

// readToken reads the API token and makes it on first use.
func readToken(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var r [32]byte
		_, _ = rand.Read(r[:]) // crypto/rand.Read never fails
		data = []byte(hex.EncodeToString(r[:]) + "\n")
		err = durable.WriteFile(path, data, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("API token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < 32 {
		return "", fmt.Errorf("API token: %s holds fewer than 32 signs: remove the file, a new one is made at the next start", path)
	}
	return token, nil
}

// URL of the page.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.lis.Addr().String())
	if err != nil {
		return "https://" + s.lis.Addr().String() + "/"
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() && len(s.conf.Names) > 0 {
		host = s.conf.Names[0]
	}
	return "https://" + net.JoinHostPort(host, port) + "/"
}

// First gives name and password of the operator that this start has made;
// empty when there were operators already.
func (s *Server) First() (operator, password string) {
	if s.first == "" {
		return "", ""
	}
	return FirstOperator, s.first
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	done := make(chan error, 1)
	go func() { done <- s.http.ServeTLS(s.lis, "", "") }()
	select {
	case err := <-done:
		return fmt.Errorf("fleet page: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := s.http.Shutdown(stop); err != nil {
		return errors.Join(s.http.Close(), ignoreDeadline(err))
	}
	return nil
}

// ignoreDeadline drops the error of a browser that did not let go in time.
func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// Close frees the address when Run was never called.
func (s *Server) Close() error {
	if err := s.lis.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{file}", s.asset)
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.Handle("POST /logout", s.operators(s.logout))
	mux.Handle("GET /{$}", s.operators(s.overview))
	mux.Handle("GET /kiosks/{kiosk}", s.operators(s.kiosk))
	mux.Handle("GET /stream", s.operators(s.stream))
	mux.Handle("POST /alarms/{id}/seen", s.operators(s.seen))
	mux.Handle("GET /api/kiosks.json", s.tools(s.apiKiosks))
	mux.Handle("GET /api/results.json", s.tools(s.apiResults))
	return s.harden(http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, 64<<10)))
}

// harden checks the host asked for and sets the headers of every answer.
func (s *Server) harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if !slices.Contains(s.conf.Names, strings.Trim(host, "[]")) {
			http.Error(w, "this server is not called "+host+"; name it with --name", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// operators lets through whoever has a session; others see the login.
func (s *Server) operators(next func(http.ResponseWriter, *http.Request, string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := s.guard.who(r)
		switch {
		case who != "":
			next(w, r, who)
		case r.Method == http.MethodGet && r.URL.Path != "/stream":
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		default:
			http.Error(w, "log in first", http.StatusUnauthorized)
		}
	})
}

// tools lets through a session or the API token.
func (s *Server) tools(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.guard.bearer(r) || s.guard.who(r) != "" {
			next(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "log in first, or send the token of "+TokenFile, http.StatusUnauthorized)
	})
}

// render writes a page; a template that fails halfway shows nothing.
func (s *Server) render(w http.ResponseWriter, status int, page string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, page, data); err != nil {
		s.log.Error("page not rendered", "page", page, "err", err)
		http.Error(w, "the page could not be rendered; see central's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser has gone
}
