package worker

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"gateagent/match/face/engine"
	"gateagent/match/face/pack"
	"gateagent/match/face/picture"
)

// headroom is the address space that the child may take beyond what it has
// when its models are loaded: the largest portrait unpacked, several times.
const headroom = 768 << 20

// goMemory is what the collector lets Go's part of the memory grow to; a
// portrait takes some 10 MB to unpack. It is no bound: RLIMIT_AS is.
const goMemory = 36 << 20

// Main is the whole program of the child. It serves until in ends. What it
// gives out on out is the protocol; its error is for people.
func Main(args []string, in io.Reader, out io.Writer) error {
	return run(args, in, out, func(p *pack.Pack, lib string) (models, error) { return engine.Open(p, lib) })
}

// run is Main with the engine left open.
func run(args []string, in io.Reader, out io.Writer, load func(*pack.Pack, string) (models, error)) error {
	flags := flag.NewFlagSet("face-worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("pack", "", "folder of the model pack")
	pin := flags.String("pin", "", "SHA-256 of its pack.json")
	lib := flags.String("lib", "", "the ONNX runtime library")
	unconfined := flags.Bool("unconfined", false, "serve even where the kernel cannot confine")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("face worker: %w", err)
	}
	if *dir == "" || *pin == "" || *lib == "" || flags.NArg() > 0 {
		return errors.New("face worker: --pack, --pin and --lib are needed; the agent starts this program by itself")
	}
	if err := noDumps(); err != nil {
		return fmt.Errorf("face worker: core dumps cannot be forbidden: %w", err)
	}
	if err := closeInherited(); err != nil {
		return fmt.Errorf("face worker: files of others: %w", err)
	}
	// Pictures are large and few. The collector waits until there is much to
	// collect, and is called when nobody waits.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(goMemory)
	begin := time.Now()
	p, err := pack.Open(*dir, pack.Options{Pins: map[string]string{pack.ManifestFile: *pin}, Late: true})
	if err != nil {
		return err
	}
	m, err := load(p, *lib)
	if err != nil {
		return err
	}
	own, err := openStatm()
	if err != nil {
		return fmt.Errorf("face worker: own memory: %w", err)
	}
	renew()
	state := ready{LoadMS: uint32(time.Since(begin).Milliseconds())}
	switch err := confine(headroom); {
	case err == nil:
		state.Confined = 1
	case !*unconfined:
		return fmt.Errorf("face worker: the kernel cannot confine it (%w); it does not work unconfined unless the configuration says so", err)
	}
	if err := writeMessage(out, kindReady, state, nil); err != nil {
		return err
	}
	s := &session{
		models: m, size: picture.DefaultLimits(), alike: likeness(p.Embedder.StartThreshold), match: p.Embedder.StartThreshold,
		memory: func() (uint64, error) { return own.pages(1) },
	}
	return serve(s, in, out)
}
