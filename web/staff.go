package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"gateagent/gate"
)

const cookieName = "gateagent-staff"

type operatorKey struct{}

// signedIn serves only operators with a live session.
func (s *Server) signedIn(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, ok := s.operator(r, true)
		if !ok {
			http.Error(w, "sign in first", http.StatusUnauthorized)
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), operatorKey{}, name)))
	}
}

// operator names who is signed in; touch keeps the session from idling out.
func (s *Server) operator(r *http.Request, touch bool) (string, bool) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return "", false
	}
	return s.sessions.who(c.Value, touch)
}

func operatorOf(r *http.Request) string {
	name, _ := r.Context().Value(operatorKey{}).(string)
	return name
}

// decode reads a small JSON object strictly.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		http.Error(w, "malformed request", http.StatusBadRequest)
		return false
	}
	return true
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"name"`
		PIN  string `json:"pin"`
	}
	if !decode(w, r, &in) {
		return
	}
	token, res := s.sessions.signIn(in.Name, in.PIN)
	switch res {
	case signInOK:
		s.cfg.Log.Info("an operator signed in", "operator", in.Name)
		// Not Secure: the page is plain HTTP on loopback.
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: token, Path: "/staff", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		w.WriteHeader(http.StatusNoContent)
	case signInLocked:
		http.Error(w, "too many wrong PINs; wait a minute", http.StatusTooManyRequests)
	default:
		s.cfg.Log.Warn("a sign-in failed")
		http.Error(w, "name or PIN is wrong", http.StatusUnauthorized)
	}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		s.sessions.signOut(c.Value)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/staff", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
}

// about tells the page what does not change: who is signed in, the reasons to
// choose from, and what each code means.
func (s *Server) about(w http.ResponseWriter, r *http.Request) {
	type info struct{ Name, Text, Remedy string }
	codes := map[gate.Code]info{}
	for _, c := range gate.Codes() {
		codes[c.Code] = info{c.Name, c.Text, c.Remedy}
	}
	reply(w, map[string]any{"operator": operatorOf(r), "reasons": s.cfg.Reasons, "codes": codes, "message": s.cfg.Messages.Staff})
}

// staffView is a view with what the pages themselves know. It has no picture.
type staffView struct {
	gate.View
	CameraProblem string `json:"camera_problem,omitempty"`
}

func (s *Server) staffEvents(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, func(v gate.View) any { return staffView{v, s.CameraProblem()} }, func() bool { _, ok := s.operator(r, false); return ok })
}

func (s *Server) staffNow(w http.ResponseWriter, _ *http.Request) {
	v, known := s.hub.current()
	if !known {
		http.Error(w, "the lane has not spoken yet", http.StatusServiceUnavailable)
		return
	}
	reply(w, staffView{v, s.CameraProblem()})
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Tx      string `json:"tx"`
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
	}
	if !decode(w, r, &in) {
		return
	}
	if !slices.Contains(s.cfg.Reasons, in.Reason) {
		http.Error(w, "choose one of the reasons", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*deskWait)
	defer cancel()
	if err := s.desk.Resolve(ctx, in.Tx, operatorOf(r), in.Outcome, in.Reason); err != nil {
		s.deskError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
