package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Bounds of the picture socket.
const (
	protocolName = "gate-camera" // beside it the page names its proof as a protocol
	maxMessage   = 1<<20 + attemptLen
	maxProblem   = 40
	maxSecond    = 60 // messages a second
	writeWait    = 5 * time.Second
	pingEvery    = 5 * time.Second
)

// cameraSecret hands the page its secret and says whose camera it is.
func (s *Server) cameraSecret(w http.ResponseWriter, _ *http.Request) {
	if s.live == nil {
		http.Error(w, errNoCamera.Error(), http.StatusNotFound)
		return
	}
	secret, err := s.live.hand()
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	owner := "agent"
	if s.live.sink != nil {
		owner = "page"
	}
	reply(w, map[string]string{"secret": secret, "owner": owner})
}

// cameraSocket is the one connection for pictures. The guard has judged Host
// and, where one is given, Origin; here one must be given.
func (s *Server) cameraSocket(w http.ResponseWriter, r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || r.Header.Get("Origin") == "" {
		http.Error(w, errNotOurs.Error(), http.StatusForbidden)
		return
	}
	if s.live == nil {
		http.Error(w, errNoCamera.Error(), http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	page, err := s.live.admit(proofIn(r), cancel)
	switch {
	case errors.Is(err, errNotOurs):
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	defer s.live.leave(page)
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocolName}})
	if err != nil {
		return // it has answered
	}
	defer func() { _ = c.CloseNow() }()
	s.cfg.Log.Info("the kiosk page is connected for pictures")
	c.SetReadLimit(maxMessage)
	go func() {
		defer cancel()
		s.tellPage(ctx, c, page)
	}()
	if err := s.hearPage(ctx, c); err != nil {
		s.cfg.Log.Warn("the kiosk page's picture connection was cut", "err", err)
		_ = c.Close(websocket.StatusPolicyViolation, "")
	}
}

// proofIn finds the page's proof among the protocols that it names.
func proofIn(r *http.Request) string {
	for _, h := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(h, ",") {
			if p = strings.TrimSpace(p); p != protocolName {
				return p
			}
		}
	}
	return ""
}

// tellPage writes until the page or the server goes.
func (s *Server) tellPage(ctx context.Context, c *websocket.Conn, page *livePage) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	write := func(kind websocket.MessageType, b []byte) error {
		wctx, cancel := context.WithTimeout(ctx, writeWait)
		defer cancel()
		return c.Write(wctx, kind, b)
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.closing:
			return
		case n := <-page.notes:
			b, _ := json.Marshal(n) // strings and bools
			err = write(websocket.MessageText, b)
		case f := <-page.frames:
			err = write(websocket.MessageBinary, f)
			clear(f)
		case <-tick.C:
			pctx, cancel := context.WithTimeout(ctx, writeWait)
			err = c.Ping(pctx)
			cancel()
		}
		if err != nil {
			return
		}
	}
}

// hearPage reads until the page goes, which is no error, or misbehaves.
func (s *Server) hearPage(ctx context.Context, c *websocket.Conn) error {
	var window time.Time
	count := 0
	for {
		kind, b, err := c.Read(ctx)
		if errors.Is(err, websocket.ErrMessageTooBig) {
			return err
		}
		if err != nil {
			return nil
		}
		if now := time.Now(); now.Sub(window) > time.Second {
			window, count = now, 0
		}
		if count++; count > maxSecond {
			return errors.New("the page sends too much")
		}
		if kind == websocket.MessageText {
			err = s.pageComplains(b)
		} else {
			err = s.live.offer(b)
			clear(b)
		}
		if errors.Is(err, errNotOurs) {
			return err
		}
		if err != nil {
			s.cfg.Log.Debug("a picture of the kiosk page was refused", "err", err)
		}
	}
}

// pageComplains takes the name of the error that getUserMedia gave (Media
// Capture and Streams, section 10.2).
func (s *Server) pageComplains(b []byte) error {
	var in struct {
		Problem string `json:"problem"`
	}
	if json.Unmarshal(b, &in) != nil || in.Problem == "" || len(in.Problem) > maxProblem || strings.Trim(in.Problem, letters) != "" {
		return errNotOurs
	}
	s.live.complain(in.Problem)
	return nil
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// Mirror shows a picture of the agent's camera to the traveller; nil when the
// camera went off. The picture belongs to the server, which wipes it.
func (s *Server) Mirror(jpeg []byte) {
	if s.live != nil && s.live.sink == nil {
		s.live.mirror(jpeg)
	}
}

// CameraProblem says why the kiosk page's camera cannot be used now; empty
// when it can, or when the agent owns the camera.
func (s *Server) CameraProblem() string {
	if s.live == nil {
		return ""
	}
	return s.live.state()
}

// rearmCamera lets the kiosk's page connect anew, when its browser lost the
// secret.
func (s *Server) rearmCamera(w http.ResponseWriter, r *http.Request) {
	if s.live == nil {
		http.Error(w, errNoCamera.Error(), http.StatusNotFound)
		return
	}
	s.live.rearm()
	s.cfg.Log.Info("an operator let the kiosk page connect anew", "operator", operatorOf(r))
	w.WriteHeader(http.StatusNoContent)
}
