package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gateagent/gate"
	"gateagent/gate/wire"
	"gateagent/sim/kiosk"
)

// view is what the staff page shows, as the kiosk sends it (gate.View, whose
// outcome is a word here).
type view struct {
	Tx      string           `json:"tx"`
	Stage   gate.Stage       `json:"stage"`
	Step    string           `json:"step"`
	Outcome string           `json:"outcome"`
	Reasons []gate.Code      `json:"reasons"`
	Checks  []gate.Check     `json:"checks"`
	List    string           `json:"list"`
	Passage string           `json:"passage"`
	Timing  map[string]int64 `json:"timing_ms"`
	Help    bool             `json:"help"`
	Face    *gate.FaceView   `json:"face"`
	// FaceResult counts once the transaction is decided.
	FaceResult *faceShown `json:"face_result"`
	Open       []struct {
		Tx string `json:"tx"`
	} `json:"open"`
	Notices    []gate.Notice `json:"notices"`
	ListStatus struct {
		Present bool   `json:"present"`
		Problem string `json:"problem"`
	} `json:"list_status"`
	QueueDepth int  `json:"queue_depth"`
	UplinkUp   bool `json:"uplink_up"`

	seen time.Time // when it reached us
}

// faceShown is what staff see of a comparison (gate.FaceResult, whose verdict
// is a word here).
type faceShown struct {
	Verdict   string              `json:"verdict"`
	Code      gate.Code           `json:"code"`
	Score     float64             `json:"score"`
	Threshold float64             `json:"threshold"`
	Pack      string              `json:"pack"`
	Admits    bool                `json:"admits"`
	PAD       float64             `json:"pad"`
	Frames    int                 `json:"frames"`
	Challenge *wire.FaceChallenge `json:"challenge"`
	Quality   struct {
		Overall float64 `json:"overall"`
	} `json:"quality"`
}

// decided says that the transaction's outcome is on the screen.
func (v view) decided() bool {
	switch v.Stage {
	case gate.StageAdmitted, gate.StageSeeStaff, gate.StageTryAgain, gate.StageHelpComing:
		return true
	}
	return false
}

func (v view) open(tx string) bool {
	for _, r := range v.Open {
		if r.Tx == tx {
			return true
		}
	}
	return false
}

// pages is a browser on the kiosk: the traveller's finger and the officer, who
// watches the staff page.
type pages struct {
	*kiosk.Pages
	views    chan view
	failures chan error // why the stream of views broke, once
}

func newPages(addr, name, pin string) *pages {
	return &pages{Pages: kiosk.NewPages(addr, name, pin), views: make(chan view, 1024), failures: make(chan error, 1)}
}

// follow reads the staff page's events until ctx ends. A session that idled
// out is opened again.
func (p *pages) follow(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		var nonsense error
		err := p.Follow(ctx, "/staff/events", func(data []byte) {
			v := view{seen: time.Now()}
			if err := json.Unmarshal(data, &v); err != nil {
				nonsense = err
				return
			}
			select {
			case p.views <- v:
			case <-ctx.Done():
			}
		})
		if ctx.Err() != nil {
			return
		}
		if nonsense != nil || time.Since(began) < time.Second {
			p.failures <- fmt.Errorf("the kiosk's staff page broke off: %w", errors.Join(err, nonsense))
			return
		}
		if err := p.SignIn(ctx); err != nil {
			p.failures <- err
			return
		}
	}
}
