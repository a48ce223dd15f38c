package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"gateagent/gate"
)

// What is on trial is held to what the lane could do before: it must be in
// order again, unless it was not.
func TestAwaitBack(t *testing.T) {
	for name, tc := range map[string]struct {
		stage  gate.Stage
		before standing
		back   bool
	}{
		"idle":                {gate.StageIdle, standing{}, true},
		"closed":              {gate.StageClosed, standing{}, true},
		"not spoken yet":      {"", standing{}, false},
		"broken":              {gate.StageOutOfOrder, standing{}, false},
		"broken before":       {gate.StageOutOfOrder, standing{lane: true}, true},
		"other things broken": {gate.StageOutOfOrder, standing{faces: true}, false},
	} {
		b := &builder{status: &status{}, trying: &trying{before: tc.before}}
		b.status.Show(gate.View{Stage: tc.stage})
		err := b.awaitBack(t.Context(), 300*time.Millisecond)
		if (err == nil) != tc.back || err != nil && !strings.Contains(err.Error(), "out of order") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// It may take its time.
	b := &builder{status: &status{}, trying: &trying{}}
	b.status.Show(gate.View{Stage: gate.StageOutOfOrder})
	time.AfterFunc(100*time.Millisecond, func() { b.status.Show(gate.View{Stage: gate.StageIdle}) })
	if err := b.awaitBack(t.Context(), 10*time.Second); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.status.Show(gate.View{Stage: gate.StageOutOfOrder})
	if err := b.awaitBack(ctx, 10*time.Second); err != nil {
		t.Error(err)
	}
}
