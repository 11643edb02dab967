"""The words of docs/results.md between its tables (miniature_results.py)."""

ABOUT = """# Results in miniature

![A dot a seed, an arm a row](images/families.svg)

*Percent right on 300 scenes that no model trained on. A dot is a training seed; the red line is the
base made to simulate, before any training.*

Every test question here stands in a *family*: one video, one set of options, two objects to remove,
one question that the video alone answers (observational) and one that it does not (inferential).
Neither gives itself away, so who does not read the premise has no family right as a whole."""
READ = """*Compute* counts completions drawn, the bias model's and those by which successes were
measured included, as a multiple of GRPO's. *Simulates* is the share of answers that open with a
removal, whatever is computed behind it. Intervals are of 95 %, over scenes and training seeds
together; differences are paired by seed and question. The bias model learned questions as they are,
where the paper strikes out their premise, and no guard was on but the controller's; no step at .01
came near its limits. What was fixed before the run stands in [LOG.md](LOG.md). Every number is
recomputed from committed answers: `python benchmarks/miniature.py tables` writes this page and its
figure. This tier is text, from a base of a million parameters; nothing was trained at 3B. [What the
old world showed](results_old_world.md), and why it misled, has a page of its own; what to do about
a shortcut in your own data is in [choosing.md](choosing.md)."""
SEEN = """## From pixels

![A dot a seed, an arm a row, from pixels](images/families_video.svg)

*The same picture where the model sees 16 frames of 64x48 pixels instead of reading a transcript.*

The same holds from pixels, from a base of two million parameters that was taught to simulate
([base_model.md](base_model.md)); nothing of the arms' settings was tuned there. Of ten seeds of
plain GRPO three come to describe, and the best one loses more than a fifth of the families.
Bias-failure sampling and families stand above it with every seed, sampling by label with all but
one, at no observational cost that is shown; families may keep most, sampling by label is not told
from bias-failure. All stay below the base made to simulate. The paper's divergence at three times
its weight is not shown to help in ten seeds, stands far below bias-failure sampling, and costs
three points of observational accuracy; its own weight was not run."""
FOLLOWED = """## Does the answer follow the premise?

The two questions of a family name two objects to remove, and their answers differ. Here is in how
many families, in percent, a method gives two answers, right or wrong. Who describes gives one."""
SMALLER = """## A smaller base

With a base of 0.6 million parameters, trained alike and asked with three seeds, GRPO comes to
describe in each, and bias-failure sampling keeps less than half of what the base has: it gains
less, and does not hold. Break-even forecasts it. The smaller base simulates worse and describes no
worse, so simulating pays from a higher share on, one that the sampling does not reach. Drawn by
label to 40 %, beyond it, more than three quarters are kept. So ask a base of your own for its
break-even first ([choosing.md](choosing.md)), and draw a share beyond it."""
CHOSEN = """## Choosing a checkpoint by a labelled slice

The plain engineer's answer to a policy that forgets: keep a checkpoint every ten steps, and take
the one that has most of 200 labelled questions right, half of them inferential. It keeps
more than the last checkpoint does, and less than more inferential questions do."""
UNLIKE = """## Scenes unlike those of training

Lines on which objects move stand half as far apart; videos are half as long again; there are
seven objects where there were five or six. The order of the arms stays. The seeds asked here are
four of the five with which GRPO forgets least."""
BEFORE = """## Before training

The base can do it: made to simulate it reads the premise. What is gained by training has to be held
against these lines."""
FOUND = """**Where 5 % of the training questions are inferential, plain GRPO loses half of the
families that the base has, in the mean, and how many is a matter of the seed**: of ten seeds one
comes to describe, one keeps nearly all, and the others lie anywhere between. Three times as many
steps are not shown to mend it. What answers open with tells little: in most arms every answer opens
with a removal, whatever is computed behind it. At 26 % GRPO keeps all but a point or two, with each
of three seeds.

**Whatever brings many more inferential questions before the policy keeps more families.**
Bias-failure sampling, which needs no label, and training where half of the questions are families
keep nearly all in the mean, and five sixths with the worst of ten seeds. Families keep a little
more, which is shown; the sampling costs a point or two of observational accuracy against GRPO.
Sampling by label does as well in the mean, costs about a point, and lost a third with one seed of
ten. The base's own failures and a curriculum by pass rate bring fewer such questions, and no gain
over GRPO is shown. That paying no part of an answer helps is not shown; in families it costs
nothing. There it also costs nothing, and is not shown to help, to draw families whole or to pay
them whole.

**The paper's repulsion is not shown to help.** At its own weight seven of ten seeds end above GRPO
and the others below, at no observational cost, and it stands below bias-failure sampling; the first
three had looked better. At a third of that weight, at three times and at ten times a gain is not
shown either, and at ten times one seed of three loses every family. Added to bias-failure sampling
it changes nothing in the mean. Repelled from the starting policy, or from a policy of GRPO, no gain
is shown; of the latter one seed describes. **The sign does matter**: attracted to the bias model
all three seeds describe. The controller gains over GRPO, less than the sampling does, and loses
observational accuracy with each of seven seeds, five points to eighteen.

**No arm has more whole families than the base made to simulate**: what is learned here is not to
forget."""
LESSON = """## What is open

Of most arms three seeds were run, and from pixels the paper's own weight was not. The forecast was
half right on the shipped base. By break-even describing should pay a little at the lower share, and
one seed of ten came to describe; but every other lost some of what only simulating gives, while it
went on to say that it simulates. At the higher share simulating should pay clearly, and does. On
the smaller base it was right three times: below break-even GRPO describes, near it the sampling
keeps a part, beyond it most is kept."""
