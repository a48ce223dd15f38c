package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/sim/chip"
)

// A document that is lifted in the middle of DG2 and laid back is read to the
// end without a new scan, through the real PC/SC daemon.
func TestReadLifted(t *testing.T) {
	t.Parallel()
	daemon := field.start(t)
	slot := <-slots
	defer func() { slots <- slot }()
	d := citizen(33)(t)

	lift := make(chan struct{})
	cfg := d.ChipConfig()
	var once sync.Once
	reads := 0
	cfg.Fault = func(_ int, apdu, answer []byte) ([]byte, bool) {
		if apdu[0] == 0x0C && apdu[1] == 0xB0 {
			reads++
		}
		if reads == 5 { // EF.SOD, DG14, DG1 and a part of DG2 were read
			once.Do(func() { close(lift) })
			return nil, true
		}
		return answer, false
	}
	first := chip.New(cfg)
	link, err := daemon.Insert(slot, first)
	if err != nil {
		t.Fatal(err)
	}
	second := chip.New(d.ChipConfig())
	defer second.Close()
	swapped := make(chan error, 1)
	go func() {
		<-lift
		first.Close()
		link.Remove()
		time.Sleep(200 * time.Millisecond)
		back, err := daemon.Insert(slot, second)
		if err == nil {
			t.Cleanup(back.Remove)
		}
		swapped <- err
	}()
	args := []string{"read", "--json", "--reader", readerName(slot), "--mrz", strings.Join(d.MRZLines(), "/"),
		"--trust", trustFolder(t), "--at", day.Format(time.RFC3339)}
	got := program(t, "", args...)
	if err := <-swapped; err != nil {
		t.Fatal(err)
	}
	rep := got.report(t)
	if rep.Overall.String() != "successful" || got.status != 0 || got.took > 15*time.Second {
		t.Errorf("%s, exit status %d after %v; %v", rep.Overall, got.status, got.took, rep.Checks)
	}
	if rep.Timing.APDUs <= second.Commands() || second.Commands() == 0 {
		t.Errorf("%d commands in all, %d of them after it was lifted", rep.Timing.APDUs, second.Commands())
	}
}
