package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"gateagent/central/store"
)

// Bounds of streams.
const (
	maxStreams  = 64
	streamEvery = time.Second
	streamWrite = 10 * time.Second
)

func parsePages() (*template.Template, error) {
	t, err := template.New("").Funcs(template.FuncMap{"ago": ago, "stamp": stamp, "lasting": lasting}).ParseFS(assets, "assets/*.html")
	if err != nil {
		return nil, fmt.Errorf("fleet page templates: %w", err)
	}
	return t, nil
}

// asset serves style and script, the only files without a login.
func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	kind, ok := types[path.Ext(name)]
	data, err := assets.ReadFile("assets/" + name)
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(data) // the browser has gone
}

type loginView struct{ Problem string }

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	if s.guard.who(r) != "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	s.render(w, http.StatusOK, "login.html", loginView{})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	operator := strings.TrimSpace(r.PostFormValue("operator"))
	cookie, err := s.guard.login(r.Context(), source(r), operator, r.PostFormValue("password"))
	switch {
	case err == nil:
		s.log.Info("operator logged in", "operator", operator, "from", source(r))
		http.SetCookie(w, sessionCookie(cookie))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case errors.Is(err, errWrong):
		s.log.Warn("login refused", "from", source(r))
		s.render(w, http.StatusUnauthorized, "login.html", loginView{"The name or the password is wrong."})
	case errors.Is(err, errTooMany):
		w.Header().Set("Retry-After", strconv.Itoa(int(tryEvery/time.Second)))
		s.render(w, http.StatusTooManyRequests, "login.html", loginView{"Too many attempts. Wait a minute and try again."})
	default:
		s.log.Error("login", "err", err)
		s.render(w, http.StatusServiceUnavailable, "login.html", loginView{"Central is busy. Try again in a moment."})
	}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request, _ string) {
	s.guard.leave(r)
	http.SetCookie(w, sessionCookie(""))
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// page wraps what every page behind the login shows.
type page struct {
	Operator string
	Title    string
	Body     any
}

func (s *Server) overview(w http.ResponseWriter, r *http.Request, who string) {
	f, err := s.view.fleet(r.Context())
	if err != nil {
		s.trouble(w, err)
		return
	}
	s.render(w, http.StatusOK, "overview.html", page{Operator: who, Title: "Fleet", Body: f})
}

func (s *Server) kiosk(w http.ResponseWriter, r *http.Request, who string) {
	k, err := s.view.detail(r.Context(), r.PathValue("kiosk"))
	if errors.Is(err, store.ErrUnknownKiosk) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		s.trouble(w, err)
		return
	}
	s.render(w, http.StatusOK, "kiosk.html", page{Operator: who, Title: k.Name, Body: k})
}

func (s *Server) trouble(w http.ResponseWriter, err error) {
	s.log.Error("fleet page", "err", err)
	http.Error(w, "central's database cannot be read now; see central's log", http.StatusServiceUnavailable)
}

// seen notes that an operator has seen an alarm.
func (s *Server) seen(w http.ResponseWriter, r *http.Request, who string) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if err := s.conf.Store.SeeAlarm(r.Context(), id, who, time.Now()); err != nil {
		s.trouble(w, err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// stream sends the changing part of a page by server-sent events whenever it
// differs. It ends with the session.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, _ string) {
	select {
	case s.seats <- struct{}{}:
		defer func() { <-s.seats }()
	default:
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	// The server's read timeout would end an HTTP/1.1 stream.
	if err := rc.SetReadDeadline(time.Time{}); err != nil {
		s.trouble(w, err)
		return
	}
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	var last []byte
	for s.guard.who(r) != "" {
		now, err := s.part(r)
		if err != nil {
			s.log.Warn("live page ended", "err", err)
			return
		}
		msg := []byte(": still here\n\n")
		if !bytes.Equal(now, last) {
			last = now
			msg = event(last)
		}
		if err := rc.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
			return
		}
		if _, err := w.Write(msg); err != nil || rc.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// part renders what a stream keeps current: the overview, or one kiosk.
func (s *Server) part(r *http.Request) ([]byte, error) {
	var b bytes.Buffer
	if name := r.URL.Query().Get("kiosk"); name != "" {
		k, err := s.view.detail(r.Context(), name)
		if err != nil {
			return nil, err
		}
		err = s.pages.ExecuteTemplate(&b, "kiosk", k)
		return b.Bytes(), err
	}
	f, err := s.view.fleet(r.Context())
	if err != nil {
		return nil, err
	}
	err = s.pages.ExecuteTemplate(&b, "fleet", f)
	return b.Bytes(), err
}

// event frames a message; every line of it needs the field name before it.
func event(data []byte) []byte {
	return []byte("data: " + strings.ReplaceAll(string(data), "\n", "\ndata: ") + "\n\n")
}
