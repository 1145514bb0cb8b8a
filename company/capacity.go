package company

import "dmalloc/message"

// Sized is the capacity that CAPACITY would set now.
func (c *Company) Sized(to uint64) uint64 { return max(min(to, c.cfg.window()), c.charged) }

// capacity sets how many bytes may be backed here. What is allocated stays: below that it does not go. The answer's
// Value is what it is now.
func (c *Company) capacity(e *entry, m *message.Message) Result {
	to := c.Sized(m.Value)
	if to != c.cfg.Capacity {
		c.cfg.Capacity = to
		c.log(e, m, 0, to)
	}
	return Result{Value: to}
}
