package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/sim/bench"
	"gateagent/sim/chip"
	"gateagent/sim/doc"
	"gateagent/sim/vpcd"
)

// benchLine is what one profile at one bit rate came to.
type benchLine struct {
	Name    string  `json:"name"`
	WallMS  float64 `json:"wall_ms"`
	FloorMS float64 `json:"floor_ms"`
	Ratio   float64 `json:"ratio"`
	APDUs   int     `json:"apdus"`
	Least   int     `json:"least_apdus"`
	CPUMS   float64 `json:"cpu_ms"`
	CPUMax  float64 `json:"cpu_limit_ms"`
	Alloc   uint64  `json:"alloc_bytes"`
	FirstMS float64 `json:"first_ms"`
}

// benchSum is the verdict over all lines.
type benchSum struct {
	Lines       []benchLine `json:"lines"`
	MedianRatio float64     `json:"median_ratio"`
	WorstRatio  float64     `json:"worst_ratio"`
	WorstName   string      `json:"worst_name"`
	CPUShare    float64     `json:"worst_cpu_of_limit"`
	CPUName     string      `json:"worst_cpu_name"`
	AllocMax    uint64      `json:"alloc_max_bytes"`
	OK          bool        `json:"ok"`
}

// benchSite is what all profiles share.
type benchSite struct {
	dir    string
	direct bool
	world  *doc.World
	daemon *vpcd.Daemon // nil with --direct
	runs   int
}

func benchRead(ctx context.Context, out io.Writer, o benchOptions) (err error) {
	profiles, err := o.chosen()
	if err != nil {
		return err
	}
	dir, remove, err := benchFolder()
	if err != nil {
		return err
	}
	defer remove()
	s := &benchSite{dir: dir, direct: o.direct, world: doc.NewWorld(1), runs: o.runs}
	if o.list {
		return s.printFloors(out, profiles)
	}
	if err := s.world.WriteTrust(filepath.Join(dir, "trust")); err != nil {
		return err
	}
	if !o.direct {
		if s.daemon, err = vpcd.StartDaemon(ctx, filepath.Join(dir, "pcscd"), nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.daemon.Stop()) }()
	}
	var sum benchSum
	for _, p := range profiles {
		entry, err := p.Make(s.world)
		if err != nil {
			return err
		}
		for _, rate := range bench.BitRates() {
			l, err := s.measure(ctx, entry, rate)
			if err != nil {
				return fmt.Errorf("%s at %d kbit/s: %w", p.Name, rate, err)
			}
			sum.Lines = append(sum.Lines, l)
			if !o.json {
				fmt.Fprintln(out, l)
			}
		}
	}
	sum.conclude()
	if o.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		err = enc.Encode(sum)
	} else {
		sum.print(out)
	}
	if err == nil && !sum.OK {
		err = errDiffers
	}
	return err
}

func (s *benchSite) printFloors(out io.Writer, profiles []bench.Profile) error {
	for _, p := range profiles {
		e, err := p.Make(s.world)
		if err != nil {
			return err
		}
		const rate = 424
		fmt.Fprintf(out, "%s/%d: %.1f ms\n", p.Name, rate, ms(e.Floor(rate)))
		for _, c := range e.Commands() {
			fmt.Fprintf(out, "  %7.1f ms  %5d out %6d in  %s\n", ms(bench.Floor{c}.Time(e.Model(rate))), c.Out, c.In, c.Name)
		}
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// String is the line as printed.
func (l benchLine) String() string {
	return fmt.Sprintf("%s %.0f ms %.0f %.3f %d apdus (%d) %.1f cpu-ms %.0f first-ms",
		l.Name, l.WallMS, l.FloorMS, l.Ratio, l.APDUs, l.Least, l.CPUMS, l.FirstMS)
}

// measure reads one document several times in a process of its own.
func (s *benchSite) measure(ctx context.Context, e bench.Entry, rate int) (benchLine, error) {
	l := benchLine{
		Name: fmt.Sprintf("%s/%d", e.Name, rate), FloorMS: ms(e.Floor(rate)), Least: len(e.Commands()), CPUMax: cpuLimit,
	}
	if e.Wide {
		l.CPUMax = cpuLimitWide
	}
	card := chip.New(e.Chip(rate))
	defer card.Close()
	p, err := s.start(ctx, card)
	if err != nil {
		return l, err
	}
	defer p.end()
	order := benchOrder{MRZ: e.Document.MRZ()}
	if e.CAN {
		order = benchOrder{CAN: e.Document.CAN()}
	}
	want := "successful"
	if e.Unproven {
		want = "undetermined"
	}
	var walls, cpus []float64
	for i := range 1 + s.runs {
		r, err := p.read(order)
		if err != nil {
			return l, err
		}
		if r.Overall != want {
			return l, fmt.Errorf("the verdict is %s, not %s (%s)", r.Overall, want, r.Fault)
		}
		wall := float64(r.WallUS) / 1000
		if i == 0 {
			l.FirstMS = wall
			continue
		}
		walls, cpus = append(walls, wall), append(cpus, float64(r.CPUUS)/1000)
		l.APDUs, l.Alloc = r.APDUs, max(l.Alloc, r.Alloc)
	}
	l.WallMS, l.CPUMS = median(walls), median(cpus)
	l.Ratio = l.WallMS / l.FloorMS
	return l, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

func (b *benchSum) conclude() {
	var ratios []float64
	cpuOK, possible := true, true
	for _, l := range b.Lines {
		possible = possible && l.Ratio >= 1 // faster than the least time: the list is wrong
		if share := l.CPUMS / l.CPUMax; share > b.CPUShare {
			b.CPUShare, b.CPUName = share, l.Name
		}
		cpuOK = cpuOK && l.CPUMS <= l.CPUMax
		b.AllocMax = max(b.AllocMax, l.Alloc)
		if l.FloorMS <= countsFrom {
			continue
		}
		ratios = append(ratios, l.Ratio)
		if l.Ratio > b.WorstRatio {
			b.WorstRatio, b.WorstName = l.Ratio, l.Name
		}
	}
	if len(ratios) > 0 {
		b.MedianRatio = median(ratios)
	}
	b.OK = possible && cpuOK && b.MedianRatio <= medianRatio && b.WorstRatio <= worstRatio && b.AllocMax <= allocLimit
}

func (b *benchSum) print(out io.Writer) {
	fmt.Fprintf(out, "\nover floors of more than %d ms: median ratio %.3f (limit %.2f), worst %.3f (limit %.2f, %s)\n",
		countsFrom, b.MedianRatio, medianRatio, b.WorstRatio, worstRatio, b.WorstName)
	fmt.Fprintf(out, "host CPU a document: at most %.0f %% of its limit (%.0f ms, %.0f ms with curves above 384 bits; %s)\n",
		100*b.CPUShare, cpuLimit, cpuLimitWide, b.CPUName)
	fmt.Fprintf(out, "allocated for one document: at most %.2f MiB (limit %d)\n", float64(b.AllocMax)/(1<<20), allocLimit>>20)
	if !b.OK {
		fmt.Fprintln(out, "a limit is not held")
	}
}

// benchProcess is a reading process and its chip.
type benchProcess struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
	cleanup []func()
}

// start puts the chip into the field and starts the reading process.
func (s *benchSite) start(ctx context.Context, card *chip.Chip) (*benchProcess, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &benchProcess{cmd: exec.CommandContext(ctx, exe, "bench", "reader", "--trust", filepath.Join(s.dir, "trust"))}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.field(p, card); err != nil {
		p.end()
		return nil, err
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	return p, p.cmd.Start()
}

// field joins chip and process: by the card reader or by a socket.
func (s *benchSite) field(p *benchProcess, card *chip.Chip) error {
	if !s.direct {
		p.cmd.Env = append(os.Environ(), vpcd.SocketVariable+"="+s.daemon.Socket())
		link, err := s.daemon.Insert(0, card)
		if err != nil {
			return err
		}
		p.cleanup = append(p.cleanup, link.Remove)
		return nil
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "chip"), os.NewFile(uintptr(pair[1]), "reader")
	p.cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	p.cmd.Args = append(p.cmd.Args, "--direct")
	p.cleanup = append(p.cleanup, func() { _ = ours.Close(); _ = theirs.Close() })
	go func() {
		in := bufio.NewReader(ours)
		for {
			apdu, err := readFrame(in)
			if err != nil {
				return
			}
			if len(apdu) == 0 {
				card.Reset()
				err = writeFrame(ours, nil)
			} else {
				err = writeFrame(ours, card.Process(apdu))
			}
			if err != nil {
				return
			}
		}
	}()
	return nil
}

func (p *benchProcess) read(o benchOrder) (r benchReading, err error) {
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return r, err
	}
	if err = p.out.Decode(&r); errors.Is(err, io.EOF) {
		err = errors.New("the reading process ended; its reason stands on standard error")
	}
	return r, err
}

// end stops the process and takes the chip away.
func (p *benchProcess) end() {
	if p.in != nil {
		_ = p.in.Close() // its end of input
		_ = p.cmd.Wait()
	}
	for _, f := range p.cleanup {
		f()
	}
}
