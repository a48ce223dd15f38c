// Package web serves the two pages of one kiosk, on loopback alone: the
// traveller's screen, which shows one step at a time and never a reason, and
// the staff page, which shows every reason and where referrals are resolved
// by a named operator.
package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"gateagent/gate"
)

//go:embed static
var static embed.FS

// Operator may sign in on the staff page.
type Operator struct {
	Name    string
	PINHash string // as internal/passhash makes it
}

// Config of the pages. The zero value is refused.
type Config struct {
	Listen    string // loopback address and port; port 0 picks a free one
	Operators []Operator
	Reasons   []string // what an operator may give as reason
	Log       *slog.Logger

	// Messages are the operator's own texts.
	Messages Messages

	// Camera takes the pictures of the kiosk page's own camera; set only
	// where the browser must own the camera: that makes the browser part of
	// what is trusted.
	Camera CameraSink
	// MirrorAgent says that the agent owns the camera and shows its picture
	// through Mirror.
	MirrorAgent bool
	// Demo says that faces are compared with a pack for demonstrations:
	// every screen says so.
	Demo bool
}

// Server is the web room. It is a gate.Screen.
type Server struct {
	cfg      Config
	desk     gate.Desk
	hub      *hub
	sessions *sessions
	listener net.Listener
	hosts    map[string]bool // what a Host header may say
	ready    chan struct{}
	closing  chan struct{} // closed when the server stops, ends event streams
	live     *live         // nil without a camera
}

// New checks the configuration and takes the port.
func New(cfg Config) (*Server, error) {
	ap, err := netip.ParseAddrPort(cfg.Listen)
	if err != nil || !ap.Addr().IsLoopback() {
		return nil, fmt.Errorf("web: %q is no loopback address with a port, for example 127.0.0.1:8480", cfg.Listen)
	}
	if cfg.Log == nil {
		return nil, errors.New("web: no log")
	}
	if cfg.Camera != nil && cfg.MirrorAgent {
		return nil, errors.New("web: the camera is the page's or the agent's, not both")
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("web: %w: is another agent running on this kiosk? choose another web.listen", err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	s := &Server{
		cfg: cfg, hub: newHub(), sessions: newSessions(cfg.Operators, time.Now), listener: l,
		hosts:   map[string]bool{addr: true, "localhost:" + port: true},
		ready:   make(chan struct{}),
		closing: make(chan struct{}),
	}
	if cfg.Camera != nil || cfg.MirrorAgent {
		s.live = newLive(cfg.Camera, cfg.Log)
	}
	return s, nil
}

// Addr is the address that the pages are served on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close gives the port back where Run was never called.
func (s *Server) Close() error {
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("web: %w", err)
	}
	return nil
}

// Ready is closed once the pages are served.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// SetDesk connects the pages to the lane; call it before Run.
func (s *Server) SetDesk(d gate.Desk) { s.desk = d }

// Show implements gate.Screen.
func (s *Server) Show(v gate.View) { s.hub.show(v) }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	if s.desk == nil {
		return errors.New("web: no lane is connected")
	}
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	stopped := context.AfterFunc(ctx, func() {
		close(s.closing)
		grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	})
	defer stopped()
	if s.live != nil {
		go s.live.run(ctx)
	}
	close(s.ready)
	if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web: %w", err)
	}
	return nil
}

// handler routes all pages behind the guard.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	page := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { s.page(w, r, files, name) }
	}
	mux.HandleFunc("GET /{$}", page("traveller.html"))
	mux.HandleFunc("GET /events", s.travellerEvents)
	mux.HandleFunc("POST /help", s.help)
	mux.HandleFunc("POST /can", s.enterCAN)
	mux.HandleFunc("POST /face", s.chooseFace)
	mux.HandleFunc("POST /camera/secret", s.cameraSecret)
	mux.HandleFunc("GET /camera", s.cameraSocket)
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(files)))
	mux.HandleFunc("GET /staff", page("staff.html"))
	mux.HandleFunc("POST /staff/login", s.login)
	mux.HandleFunc("POST /staff/logout", s.logout)
	mux.HandleFunc("GET /staff/about", s.signedIn(s.about))
	mux.HandleFunc("GET /staff/events", s.signedIn(s.staffEvents))
	mux.HandleFunc("GET /staff/view", s.signedIn(s.staffNow))
	mux.HandleFunc("POST /staff/resolve", s.signedIn(s.resolve))
	mux.HandleFunc("POST /staff/camera", s.signedIn(s.rearmCamera))
	return s.guard(mux)
}

// page serves a whole page; a demonstration marks it.
func (s *Server) page(w http.ResponseWriter, r *http.Request, files fs.FS, name string) {
	if !s.cfg.Demo {
		http.ServeFileFS(w, r, files, name)
		return
	}
	b, err := fs.ReadFile(files, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(bytes.Replace(b, []byte("<body"), []byte("<body data-demo"), 1))
}
