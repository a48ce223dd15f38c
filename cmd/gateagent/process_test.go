package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/sim/chip"
	"gateagent/sim/vpcd"
)

// outcome is what one run of the program left.
type outcome struct {
	status         int
	stdout, stderr string
	took           time.Duration
}

// program runs gateagent as a process of its own against the tests' pcscd.
func program(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	return programAt(t, field.start(t).Socket(), stdin, args...)
}

func programAt(t *testing.T, socket, stdin string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, must[string](t)(os.Executable()), args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", vpcd.SocketVariable+"="+socket, "TZ=UTC")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("gateagent %v: %v", args[:1], errors.Join(err, ctx.Err()))
	}
	return outcome{cmd.ProcessState.ExitCode(), out.String(), errs.String(), time.Since(begin)}
}

// refused expects exit status 1 with one line on standard error that names
// all of words, and nothing on standard output.
func (o outcome) refused(t *testing.T, words ...string) {
	t.Helper()
	if o.status != 1 || o.stdout != "" || strings.Count(o.stderr, "\n") != 1 {
		t.Errorf("exit status %d, output %q, errors %q", o.status, o.stdout, o.stderr)
	}
	for _, w := range words {
		if !strings.Contains(o.stderr, w) {
			t.Errorf("%q does not say %q", o.stderr, w)
		}
	}
}

// report reads the one JSON object on standard output.
func (o outcome) report(t *testing.T) *report {
	t.Helper()
	rep := &report{}
	dec := json.NewDecoder(strings.NewReader(o.stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(rep); err != nil || dec.More() {
		t.Fatalf("not one JSON object: %v in %q, errors %q, exit status %d", err, o.stdout, o.stderr, o.status)
	}
	return rep
}

// slots hands out the two places of the virtual reader.
var slots = func() chan int {
	c := make(chan int, 2)
	c <- 0
	c <- 1
	return c
}()

func readerName(slot int) string { return fmt.Sprintf("Virtual PCD 00 %02d", slot) }

// insert lays a chip on a free reader for the time of the test.
func insert(t *testing.T, cfg chip.Config) (reader string, card *chip.Chip, link *vpcd.Link) {
	t.Helper()
	daemon := field.start(t)
	slot := <-slots
	card = chip.New(cfg)
	link, err := daemon.Insert(slot, card)
	if err != nil {
		slots <- slot
		t.Fatal(err)
	}
	t.Cleanup(func() {
		card.Close()
		link.Remove()
		slots <- slot
	})
	return readerName(slot), card, link
}

// Documents through the real PC/SC daemon, the program being a process of its
// own: the whole report, exit status, timing.
func TestReadProcess(t *testing.T) {
	trust := trustFolder(t)
	chosen := []string{
		"citizen card by QR", "citizen card in full", "unlimited card", "DG1 altered", "unknown issuer", "clone", "no trust",
		"passport of Utopia", "passport in full", "BAC alone", "AA by RSA", "PACE hidden", "wrong CAN", "fingerprints not locked",
	}
	for _, v := range visits() {
		i := slices.Index(chosen, v.name)
		if i < 0 {
			continue
		}
		chosen = slices.Delete(chosen, i, i+1)
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			readProcess(t, v, trust)
		})
	}
	if len(chosen) > 0 {
		t.Errorf("no such visits: %q", chosen)
	}
}

func readProcess(t *testing.T, v visit, trust string) {
	want := expect(t, v.want)
	d, o := v.make(t), v.opt
	cfg := d.ChipConfig()
	if v.chip != nil {
		v.chip(&cfg)
	}
	reader, card, _ := insert(t, cfg)
	args, stdin := []string{"read", "--json", "--reader", reader}, ""
	switch {
	case o.can == "own":
		args = append(args, "--can", d.CAN())
	case o.can != "":
		args = append(args, "--can", o.can)
	case d.Profile.CitizenNumber != "": // secrets may come on standard input
		args, stdin = append(args, "--qr", "-"), d.QR()+"\n"
	default:
		args = append(args, "--mrz", strings.Join(d.MRZLines(), "/"))
	}
	if o.at == "" {
		o.at = day.Format(time.RFC3339)
	}
	args = append(args, "--at", o.at)
	if o.trust == "" {
		args = append(args, "--trust", trust)
	}
	if o.full {
		args = append(args, "--full")
	}
	got := program(t, stdin, args...)
	rep := got.report(t)
	want.compare(t, rep, false)
	exits := map[string]int{"successful": 0, "failed": 2, "undetermined": 3, "aborted": 4}
	if got.status != exits[want.overall(false).String()] || got.stderr != "" {
		t.Errorf("exit status %d, errors %q", got.status, got.stderr)
	}
	time := rep.Timing
	if time.APDUs != card.Commands() || time.BytesIn <= time.APDUs || time.BytesOut <= 4*time.APDUs || time.TotalMS <= 0 || len(time.PhasesMS) != 5 {
		t.Errorf("%d commands reached the chip, timing %+v", card.Commands(), time)
	}
}

// The holder's data appear only on demand, and exactly as the contract says.
func TestReadPersonal(t *testing.T) {
	t.Parallel()
	d := citizen(31)(t)
	reader, _, _ := insert(t, d.ChipConfig())
	args := []string{"read", "--json", "--reader", reader, "--qr", "-", "--trust", trustFolder(t), "--at", day.Format(time.RFC3339), "--full"}
	line := d.MRZLines()
	for _, personal := range []bool{true, false} {
		if personal {
			args = append(args, "--personal")
		} else {
			args = args[:len(args)-1]
		}
		rep := program(t, d.QR(), args...).report(t)
		want := reportHolder{
			Type: "ID", Issuer: "VNM", Number: d.Profile.Number, Optional: strings.TrimRight(line[0][15:], "<"),
			Name: nameOf(line[2]), Birth: d.Person.Birth.Format(time.DateOnly), Sex: d.Person.Sex,
			Expiry: d.Profile.Expires.Format(time.DateOnly), Nationality: "VNM",
			National: map[string]string{
				"id": d.Number(), "name": d.Person.Name(), "birth": d.Person.Birth.Format("02/01/2006"), "sex": map[string]string{"M": "Nam", "F": "Nữ"}[d.Person.Sex],
				"nationality": "Việt Nam", "issue": d.Profile.Issued.Format("02/01/2006"), "expiry": d.Profile.Expires.Format("02/01/2006"),
			},
		}
		if d.Profile.OldNumber != "" {
			want.National["old_id"] = d.Profile.OldNumber
		}
		if !personal {
			want = reportHolder{Type: "ID", Issuer: "VNM", Number: "-", Optional: "-", Name: "-", Birth: "-", Sex: "-", Expiry: "-", Nationality: "-", National: want.National}
			for k := range want.National {
				want.National[k] = "-"
			}
		}
		if a, b := fmt.Sprintf("%+v", *rep.Document), fmt.Sprintf("%+v", want); a != b {
			t.Errorf("document\n%s, not\n%s", a, b)
		}
		if p := rep.Portrait; p == nil || *p != (reportImage{"jpeg", len(d.Profile.Image.Bytes), d.Profile.Image.Width, d.Profile.Image.Height}) {
			t.Errorf("portrait %+v", p)
		}
	}
}

// nameOf writes a name field with fillers as spaces but for the one between
// surname and given names.
func nameOf(field string) string {
	surname, given, _ := strings.Cut(strings.TrimRight(field, "<"), "<<")
	return strings.ReplaceAll(surname, "<", " ") + "<<" + strings.ReplaceAll(given, "<", " ")
}

// The report for people.
func TestReadText(t *testing.T) {
	t.Parallel()
	d := foreign(2)(t)
	reader, _, _ := insert(t, d.ChipConfig())
	got := program(t, d.MRZ()+"\r\n", "read", "--reader", strings.Replace(reader, "Virtual", "V*", 1), "--mrz", "-", "--trust", trustFolder(t), "--at", day.Format(time.RFC3339))
	if got.status != 0 || got.stderr != "" || strings.Count(got.stdout, "\n") < len(order)+3 {
		t.Errorf("exit status %d, errors %q, output\n%s", got.status, got.stderr, got.stdout)
	}
	for _, w := range []string{"✓ chip.chip_auth", "document  P FRA", "jpeg, 413 × 531", "successful in "} {
		if !strings.Contains(got.stdout, w) {
			t.Errorf("%q is not in\n%s", w, got.stdout)
		}
	}
	quiet(t, got.stdout, d.Profile.Number, d.MRZLines()[0])
}

// Trust files that fail are named on standard error, one line each, and the
// report is what it is without them.
func TestReadBadTrustFile(t *testing.T) {
	t.Parallel()
	d := foreign(2)(t)
	reader, _, _ := insert(t, d.ChipConfig())
	dir := t.TempDir()
	if err := world().WriteTrust(dir, "FRA"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bad.cer", "bad.ml"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := program(t, "", "read", "--json", "--reader", reader, "--mrz", d.MRZ(), "--trust", dir, "--at", day.Format(time.RFC3339))
	if got.status != 0 || strings.Count(got.stderr, "\n") != 2 || !strings.Contains(got.stderr, "bad.cer") || !strings.Contains(got.stderr, "bad.ml") {
		t.Errorf("exit status %d, errors %q", got.status, got.stderr)
	}
	expect(t, passport).compare(t, got.report(t), false)
}
