package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gateagent/gate"
)

// maxStreams bounds how many event streams may be open at once.
const maxStreams = 16

// hub keeps the newest view and tells every open page that there is one. A
// slow page misses views, it never holds the lane up.
type hub struct {
	mu    sync.Mutex
	view  gate.View
	known bool
	pages map[chan struct{}]bool
}

func newHub() *hub { return &hub{pages: map[chan struct{}]bool{}} }

func (h *hub) show(v gate.View) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.view, h.known = v, true
	for c := range h.pages {
		select {
		case c <- struct{}{}:
		default: // it has not yet read the last nudge; it will see this view
		}
	}
}

func (h *hub) current() (gate.View, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.view, h.known
}

// join adds a page; nil when there are too many.
func (h *hub) join() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pages) >= maxStreams {
		return nil
	}
	c := make(chan struct{}, 1)
	c <- struct{}{}
	h.pages[c] = true
	return c
}

func (h *hub) leave(c chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pages, c)
}

// keepAlive is how often an idle stream says that it lives.
const keepAlive = 5 * time.Second

// stream sends what pick makes of each new view as a server-sent event, until
// the page goes, the server stops, or still says no.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, pick func(gate.View) any, still func() bool) {
	nudge := s.hub.join()
	if nudge == nil {
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer s.hub.leave(nudge)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	last := ""
	if _, err := w.Write([]byte("retry: 1000\n\n")); err != nil || out.Flush() != nil {
		return
	}
	for {
		line := ": alive\n\n"
		select {
		case <-r.Context().Done():
			return
		case <-s.closing:
			return
		case <-tick.C:
		case <-nudge:
			v, known := s.hub.current()
			body, err := json.Marshal(pick(v))
			if !known || err != nil || string(body) == last {
				continue
			}
			last = string(body)
			line = fmt.Sprintf("data: %s\n\n", body)
		}
		if !still() {
			return
		}
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := w.Write([]byte(line)); err != nil || out.Flush() != nil {
			return
		}
	}
}
