// The one receiver of the benchmark: viewers that never decode, driven by JSON lines.
//
//	receiver ADDRESS cm|gcm
//
// in:  {"op": "open" | "sink", "id"}  {"op": "answer", "id", "sdp"}  {"op": "close", "id"}  {"op": "begin"}  {"op": "end"}
// out: {"id", "offer"}  {"id", "event", "ms"}  {"window": [...]}
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

const stragglers = 400 * time.Millisecond // so long what is missing may come again

type command struct {
	Op  string `json:"op"`
	ID  string `json:"id"`
	SDP string `json:"sdp"`
}

type offered struct {
	ID    string `json:"id"`
	Offer string `json:"offer"`
}

// event is a connection's state, "keyframe" or "error", with milliseconds since the call.
type event struct {
	ID    string  `json:"id"`
	Event string  `json:"event"`
	Ms    float64 `json:"ms"`
	Why   string  `json:"why,omitempty"`
}

type figures struct {
	ID      string  `json:"id"`
	Packets int     `json:"packets"`
	Lost    int64   `json:"lost"`
	Frames  int     `json:"frames"`
	FPS     float64 `json:"fps"`
}

type measured struct {
	Window []figures `json:"window"`
}

type receiver struct {
	engine           *engine
	address, profile string
	viewers          map[string]*viewer
	saying           sync.Mutex
	out              *json.Encoder
}

func (r *receiver) say(line any) {
	r.saying.Lock()
	defer r.saying.Unlock()
	if err := r.out.Encode(line); err != nil {
		os.Exit(1)
	}
}

func (r *receiver) do(c command) error {
	switch c.Op {
	case "open", "sink":
		return r.open(c)
	case "answer":
		v := r.viewers[c.ID]
		if v == nil {
			return fmt.Errorf("no such viewer")
		}
		return v.answer(c.SDP)
	case "close":
		v := r.viewers[c.ID]
		delete(r.viewers, c.ID)
		if v == nil {
			return nil
		}
		return v.close()
	case "begin":
		for _, v := range r.viewers {
			v.begin(time.Now())
		}
		return nil
	case "end":
		r.end()
		return nil
	default:
		return fmt.Errorf("unknown op %q", c.Op)
	}
}

func (r *receiver) open(c command) error {
	said := func(e event) { r.say(e) }
	var v *viewer
	var offer string
	var err error
	if c.Op == "sink" {
		v, offer, err = sink(c.ID, r.address, r.profile, said)
	} else {
		v, offer, err = r.engine.offer(c.ID, said)
	}
	if err != nil {
		return err
	}
	r.viewers[c.ID] = v
	v.called = time.Now()
	r.say(offered{ID: c.ID, Offer: offer})
	return nil
}

func (r *receiver) end() {
	now := time.Now()
	for _, v := range r.viewers {
		v.end(now)
	}
	time.Sleep(stragglers)
	all := measured{Window: []figures{}}
	for id, v := range r.viewers {
		packets, lost, frames, fps := v.figures()
		all.Window = append(all.Window, figures{ID: id, Packets: packets, Lost: lost, Frames: frames, FPS: fps})
	}
	r.say(all)
}

func main() {
	if len(os.Args) != 3 || profiles[os.Args[2]] == 0 {
		fmt.Fprintln(os.Stderr, "usage: receiver ADDRESS cm|gcm")
		os.Exit(2)
	}
	engine, err := newEngine(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r := &receiver{
		engine: engine, address: os.Args[1], profile: os.Args[2],
		viewers: map[string]*viewer{}, out: json.NewEncoder(os.Stdout),
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c command
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			err = r.do(c)
		}
		if err != nil {
			r.say(event{ID: c.ID, Event: "error", Why: err.Error()})
		}
	}
}
