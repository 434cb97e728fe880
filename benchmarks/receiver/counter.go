package main

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// NAL unit types, H.264 table 7-1, and the two of RFC 6184 that hold others.
const (
	nalIDR   = 5
	nalSPS   = 7
	nalPPS   = 8
	nalSTAPA = 24
	nalFUA   = 28
)

const maxPause = 100 * time.Millisecond

// counter looks at one viewer's packets: which came, which pictures are whole, and when the first keyframe was.
type counter struct {
	mu      sync.Mutex
	began   bool
	highest int64 // the newest sequence number, extended beyond 16 bits
	seen    [1 << 16 / 64]uint64

	key      picture
	sets     [2]bool // SPS, PPS
	keyframe time.Time

	window window
}

// picture is a keyframe on its way: its packets are start to end, where those are known.
type picture struct {
	timestamp  uint32
	start, end int64
}

// window is what came between begin and end.
type window struct {
	open            bool
	began, ended    time.Time
	last            time.Time // picture in it
	pace            pace
	low, high       int64
	packets, frames int
	unique          int64
}

// pace is the line through the times at which pictures came, by least squares.
type pace struct{ n, x, t, xx, xt float64 }

func (p *pace) add(at time.Duration) {
	x, t := p.n, at.Seconds()
	p.n, p.x, p.t, p.xx, p.xt = p.n+1, p.x+x, p.t+t, p.xx+x*x, p.xt+x*t
}

// perSecond is the inverse of the line's slope.
func (p *pace) perSecond() float64 { return (p.n*p.xx - p.x*p.x) / (p.n*p.xt - p.x*p.t) }

// take looks at one RTP packet.
func (c *counter) take(packet []byte, now time.Time) {
	var header rtp.Header
	size, err := header.Unmarshal(packet)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	number, isNew := c.number(header.SequenceNumber)
	if c.window.open {
		c.window.packets++
	}
	if !isNew {
		return
	}
	if number > c.window.low && (c.window.open || number <= c.window.high) {
		c.window.unique++
	}
	if header.Marker && c.window.open {
		c.window.frames++
		c.window.last = now
		c.window.pace.add(now.Sub(c.window.began))
	}
	if c.keyframe.IsZero() && len(packet) > size {
		c.assemble(header, packet[size:], number, now)
	}
}

// number extends a sequence number, and says whether its packet is here for the first time.
func (c *counter) number(sequence uint16) (int64, bool) {
	if !c.began {
		c.began = true
		c.highest = int64(sequence) + 1<<16
		c.window.low = c.highest - 1
		c.mark(c.highest)
		return c.highest, true
	}
	number := c.highest + int64(int16(sequence-uint16(c.highest)))
	for c.highest < number {
		c.highest++
		c.seen[uint16(c.highest)>>6] &^= 1 << (c.highest & 63)
	}
	if c.has(number) {
		return number, false
	}
	c.mark(number)
	return number, true
}

func (c *counter) mark(number int64)     { c.seen[uint16(number)>>6] |= 1 << (number & 63) }
func (c *counter) has(number int64) bool { return c.seen[uint16(number)>>6]&(1<<(number&63)) != 0 }

// assemble notes when the first IDR with its parameter sets is here to its last fragment.
func (c *counter) assemble(header rtp.Header, payload []byte, number int64, now time.Time) {
	starts := false
	for _, kind := range begun(payload) {
		switch kind {
		case nalSPS:
			c.sets[0] = true
		case nalPPS:
			c.sets[1] = true
		case nalIDR:
			starts = true
		}
	}
	if starts && (c.key.start == 0 || c.key.timestamp != header.Timestamp) {
		c.key = picture{timestamp: header.Timestamp, start: number}
	}
	if c.key.start == 0 || c.key.timestamp != header.Timestamp {
		return
	}
	if header.Marker {
		c.key.end = number
	}
	if c.key.end == 0 || !c.sets[0] || !c.sets[1] {
		return
	}
	for at := c.key.start; at <= c.key.end; at++ {
		if !c.has(at) {
			return
		}
	}
	c.keyframe = now
}

// begun names the NAL units that begin in a payload (RFC 6184, sections 5.6 to 5.8).
func begun(payload []byte) []byte {
	switch kind := payload[0] & 0x1f; kind {
	case nalFUA:
		if len(payload) > 1 && payload[1]&0x80 != 0 {
			return []byte{payload[1] & 0x1f}
		}
		return nil
	case nalSTAPA:
		var kinds []byte
		for rest := payload[1:]; len(rest) > 2; {
			size := int(binary.BigEndian.Uint16(rest))
			kinds = append(kinds, rest[2]&0x1f)
			if len(rest) < 2+size {
				break
			}
			rest = rest[2+size:]
		}
		return kinds
	default:
		return []byte{kind}
	}
}

// begin opens the measured window.
func (c *counter) begin(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window = window{open: true, began: now, low: c.highest}
}

// end closes it; what was sent again may still arrive.
func (c *counter) end(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window.open, c.window.ended, c.window.high = false, now, c.highest
}

// figures of the window: packets, those never seen, pictures and pictures a second.
func (c *counter) figures() (packets int, lost int64, frames int, fps float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.window
	// By the line, so that a large picture at the window's edge counts for nothing; unless pictures stopped.
	if w.ended.Sub(w.last) > maxPause || w.frames < 2 {
		fps = float64(w.frames) / w.ended.Sub(w.began).Seconds()
	} else {
		fps = w.pace.perSecond()
	}
	return w.packets, w.high - w.low - w.unique, w.frames, fps
}
