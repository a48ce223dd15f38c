package eval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"gateagent/gate"
	"gateagent/match/face/engine"
	"gateagent/match/face/picture"
)

// Acquirer makes the template of the one face in a picture. *engine.Engine
// is one; an Acquirer is used by one goroutine at a time.
type Acquirer interface {
	Acquire(*picture.Picture) (engine.Template, gate.FaceQuality, error)
}

// sample is a picture that was acquired.
type sample struct {
	person   int
	template engine.Template
	overall  float64 // quality
}

// samples is what became of all pictures.
type samples struct {
	references []sample // empty when the set has none: then live stands for both
	live       []sample // one for each transaction
	pictures   int
	lost       map[string]int // not acquired, by why
}

// Read decodes a picture file of a person. Anything wrong with its content is
// an error of package picture.
func Read(path string) (*picture.Picture, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	limits := picture.DefaultLimits()
	raw, err := io.ReadAll(io.LimitReader(f, int64(limits.Bytes)+1))
	if err != nil {
		return nil, err
	}
	return picture.Decode(raw, picture.Sniff(raw), limits)
}

// why names what is wrong with a picture; empty when it is not the picture.
func why(err error) string {
	for _, p := range []struct {
		err  error
		word string
	}{{engine.ErrNobody, "nobody"}, {engine.ErrSeveral, "several"}, {engine.ErrUpsideDown, "upside_down"}, {engine.ErrBlank, "blank"}} {
		if errors.Is(err, p.err) {
			return p.word
		}
	}
	return picture.Problem(err)
}

// acquire makes the samples of all people, with one goroutine for each of
// with. Attempts is how many live pictures, in their order, make one
// transaction: like the gate it goes by the best of them.
func acquire(ctx context.Context, people []Person, with []Acquirer, attempts int) (*samples, error) {
	type result struct {
		references, live []sample
		lost             map[string]int
	}
	results := make([]result, len(people))
	next := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	for _, a := range with {
		g.Go(func() error {
			for i := range next {
				r := result{lost: map[string]int{}}
				var err error
				if r.references, err = each(ctx, people[i].References, i, a, 1, r.lost); err != nil {
					return err
				}
				if r.live, err = each(ctx, people[i].Live, i, a, attempts, r.lost); err != nil {
					return err
				}
				results[i] = r
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(next)
		for i := range people {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := &samples{lost: map[string]int{}}
	for i, r := range results {
		out.references = append(out.references, r.references...)
		out.live = append(out.live, r.live...)
		out.pictures += len(people[i].References) + len(people[i].Live)
		for k, n := range r.lost {
			out.lost[k] += n
		}
	}
	return out, nil
}

// each acquires the pictures of one person and keeps the best of every
// attempts.
func each(ctx context.Context, paths []string, person int, a Acquirer, attempts int, lost map[string]int) ([]sample, error) {
	var out []sample
	for start := 0; start < len(paths); start += attempts {
		var best sample
		for _, path := range paths[start:min(start+attempts, len(paths))] {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			t, q, err := embed(path, a)
			if word := why(err); word != "" {
				lost[word]++
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("picture %s: %w", path, err)
			}
			if best.template == nil || q.Overall > best.overall {
				best = sample{person, t, q.Overall}
			}
		}
		if best.template != nil {
			out = append(out, best)
		}
	}
	return out, nil
}

func embed(path string, a Acquirer) (engine.Template, gate.FaceQuality, error) {
	p, err := Read(path)
	if err != nil {
		return nil, gate.FaceQuality{}, err
	}
	defer p.Wipe()
	return a.Acquire(p)
}

// parallel runs f for 0..n-1 on as many goroutines as workers.
func parallel(workers, n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range max(workers, 1) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
