package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"gateagent/gate"
)

// deskWait bounds how long a page waits for the lane.
const deskWait = 2 * time.Second

// travellerView is all that the traveller's screen is ever told: the step to
// take. No reason, no check, no score, no number.
type travellerView struct {
	Stage gate.Stage     `json:"stage"`
	Say   *Text          `json:"say,omitempty"`   // the operator's own words at this stage
	Opens string         `json:"opens,omitempty"` // when a closed gate opens, by the clock on the wall
	Step  string         `json:"step,omitempty"`
	Face  gate.FaceState `json:"face,omitempty"`
	Hint  gate.FaceHint  `json:"hint,omitempty"`
	Glow  string         `json:"glow,omitempty"` // colour of the whole screen
}

func (s *Server) travellerViewOf(v gate.View) any {
	t := travellerView{Stage: v.Stage, Step: v.Step, Say: s.cfg.Messages.at(v.Stage), Opens: opensText(v.Opens, time.Now())}
	if v.Face != nil {
		t.Face, t.Hint = v.Face.State, v.Face.Hint
		if c, ok := v.Face.Hint.Glow(); ok {
			t.Glow = fmt.Sprintf("rgb(%d %d %d)", c[0], c[1], c[2])
		}
	}
	return t
}

func (s *Server) travellerEvents(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, s.travellerViewOf, func() bool { return true })
}

// chooseFace takes the answer to the notice before the camera starts. Only
// the plain word counts as consent.
func (s *Server) chooseFace(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Choice string `json:"choice"`
	}
	if !decode(w, r, &in) {
		return
	}
	if in.Choice != "use" && in.Choice != "person" {
		http.Error(w, "choose use or person", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), deskWait)
	defer cancel()
	if err := s.desk.ChooseFace(ctx, in.Choice == "use"); err != nil {
		s.deskError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) help(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), deskWait)
	defer cancel()
	if err := s.desk.Help(ctx); err != nil {
		s.cfg.Log.Error("a call for help did not reach the lane", "err", err)
		http.Error(w, "the lane did not answer", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// enterCAN takes the six digits as the plain body.
func (s *Server) enterCAN(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "too long", http.StatusBadRequest)
		return
	}
	can := gate.Secret(body)
	defer can.Wipe()
	ctx, cancel := context.WithTimeout(r.Context(), deskWait)
	defer cancel()
	if err := s.desk.EnterCAN(ctx, can); err != nil {
		s.deskError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// deskError answers with the lane's own words.
func (s *Server) deskError(w http.ResponseWriter, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		http.Error(w, "the lane did not answer, try again", http.StatusServiceUnavailable)
		return
	}
	http.Error(w, strings.TrimSpace(err.Error()), http.StatusBadRequest)
}
