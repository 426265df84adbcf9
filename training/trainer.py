"""Ultralytics' trainer, made exact: killed at any moment it goes on from its last whole epoch, as if never killed.

Ultralytics writes its checkpoints in place, in half precision, and its loader draws on from wherever it is. Here each
checkpoint is written whole or not at all, the full-precision state lies beside it, and every epoch draws from seeds of
its own. Pictures are drawn by weight (:mod:`training.draws`), and altered as :mod:`training.augmentation` says.

Only this file, :mod:`training.augmentation` and :mod:`training.train` load torch and Ultralytics for a training.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from training.augmentation import CameraDataset  # isort: skip  # first: it says what Ultralytics reads when it is imported
import numpy as np
import torch
from torch.utils.data import WeightedRandomSampler
from ultralytics.data.build import InfiniteDataLoader, seed_worker
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from training.errors import DivergedError, StageOverError
from training.progress import Epoch, Step
from training.recipe import Keep


class ExactTrainer(DetectionTrainer):  # type: ignore[misc]
    """Trains as a recipe says, and can be killed at any moment.

    Parameters
    ----------
    overrides
        Ultralytics' arguments.
    keep
        Whether the epoch that does best on val counts, or the last one.
    bf16
        Whether the network's passes calculate in BF16.
    batches_a_step
        Of so many the gradients are added up before weights change.
    degraded
        Probability that a picture is degraded.
    weights
        How often each picture is drawn, by the stem of its file; the sum is how many pictures an epoch has.
    deadline
        When to stop after the epoch that is under way, by :func:`time.monotonic`; None to train to the end.
    on_step, on_epoch
        Told how far it is.
    _callbacks
        Ultralytics'.
    """

    def __init__(  # noqa: PLR0913  # named
        self,
        overrides: dict[str, Any],
        *,
        keep: Keep,
        bf16: bool,
        batches_a_step: int,
        degraded: float,
        weights: Mapping[str, float],
        deadline: float | None,
        on_step: Callable[[Step], None],
        on_epoch: Callable[[Epoch], None],
        _callbacks: Any = None,  # noqa: ANN401
    ) -> None:
        self._keep = keep
        self._bf16 = bf16
        self._batches_a_step = batches_a_step
        self._degraded = degraded
        self._weights = weights
        self._deadline = deadline
        self._on_step = on_step
        self._on_epoch = on_epoch
        self._asked_to_stop = False
        self._began = self._epoch_began = time.monotonic()
        self._steps = 0
        super().__init__(overrides=overrides, _callbacks=_callbacks)
        self.add_callback("on_train_start", ExactTrainer._end_bf16_with_the_network)
        self.add_callback("on_train_epoch_start", ExactTrainer._begin_epoch)
        self.add_callback("on_train_batch_start", ExactTrainer._use_all_cores)
        # The validator, at an epoch's end and after the last one, runs the same callbacks, with itself.
        self.add_callback("on_val_batch_start", lambda _: self._end_if_asked())
        self.add_callback("on_train_batch_end", ExactTrainer._tell_step)
        self.add_callback("on_train_epoch_end", ExactTrainer._refuse_to_diverge)
        self.add_callback("on_model_save", ExactTrainer._tell_epoch)

    def stop_soon(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End before the next batch, of val too; what was learnt since the last epoch is learnt again next time."""
        self._asked_to_stop = True

    def train(self) -> Any:  # noqa: ANN401  # Ultralytics'
        """Train; SIGTERM and Ctrl-C end it between two batches.

        Raises
        ------
        StageOverError
            If it was asked to stop, or its time is over; started again it goes on.
        DivergedError
            If the loss is not a number.
        """
        before = {number: signal.signal(number, self.stop_soon) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            done = super().train()
            self._end_if_asked()
            return done
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for loader in (getattr(self, "train_loader", None), getattr(self, "test_loader", None)):
                if loader is not None:
                    loader.close()

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:  # noqa: ANN401
        """Build the data set of a part; the train part may degrade."""
        dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            # Ultralytics chooses the class in a function that takes none.
            dataset.__class__ = CameraDataset
            dataset.degraded = self._degraded
            dataset.transforms = dataset.build_transforms(self.args)
        return dataset

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:  # noqa: ANN401
        """Build a loader; that of the train part draws by weight."""
        loader = super().get_dataloader(dataset_path, batch_size, rank, mode)
        if mode != "train":
            return loader
        weights = [self._weights[Path(file).stem] for file in loader.dataset.im_files]
        generator = torch.Generator()
        return InfiniteDataLoader(
            dataset=loader.dataset,
            batch_size=batch_size,
            sampler=WeightedRandomSampler(weights, max(batch_size, round(sum(weights))), generator=generator),
            num_workers=self.args.workers,
            collate_fn=loader.dataset.collate_fn,
            worker_init_fn=seed_worker,
            generator=generator,
        )

    def get_model(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Build the network, laid out as CPUs convolve fastest: 1.4 times the steps a second of the usual layout."""
        return super().get_model(*args, **kwargs).to(memory_format=torch.channels_last)

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Scale a batch's pictures, and lay them out as the network is; the network comes next."""
        batch = super().preprocess_batch(batch)
        batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        if self._bf16:
            # Ultralytics calls this inside of its own autocast, which brings back what was before at its end, but
            # which refuses BF16 on CPUs.
            torch.set_autocast_dtype("cpu", torch.bfloat16)
            torch.set_autocast_enabled("cpu", True)  # noqa: FBT003  # torch takes it by place
        return batch

    def optimizer_step(self) -> None:
        """Change the weights once enough gradients are added up; at the end of an epoch none are left over."""
        seen = self._steps + 1
        if seen % self._batches_a_step == 0 or seen == len(self.train_loader):
            super().optimizer_step()

    def save_model(self) -> bool:
        """Write the checkpoints, each whole or not at all, and what half precision would lose beside them."""
        exact = {
            "model": unwrap_model(self.model).state_dict(),
            "ema": self.ema.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        self.wdir.mkdir(parents=True, exist_ok=True)
        if self._bf16:
            # Going back after a loss that is no number, Ultralytics copies the network that is trained, with our hook.
            self.ema.ema.model[-1]._forward_hooks.clear()  # noqa: SLF001  # a copied hook has no handle
        # 1. The exact state of this epoch, under a name of its own.
        exact_file = self._exact(self.epoch)
        torch.save(exact, exact_file.with_suffix(".new"))
        exact_file.with_suffix(".new").replace(exact_file)
        # 2. The checkpoints; «last» names the epoch, so it comes last.
        last, best = self.wdir / "last.pt", self.wdir / "best.pt"
        self.last, self.best = last.with_suffix(".new"), best.with_suffix(".new")
        try:
            saved: bool = super().save_model()
        finally:
            self.last, self.best = last, best
        if best.with_suffix(".new").exists():
            best.with_suffix(".new").replace(best)
        last.with_suffix(".new").replace(last)
        # 3. What older epochs left.
        for path in self.wdir.glob("exact-*.pt"):
            if path != exact_file:
                path.unlink()
        return saved

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        """Take up the state of the last whole epoch, in full precision."""
        super().resume_training(ckpt)
        if ckpt is None or not self.resume:
            return
        state = torch.load(self._exact(ckpt["epoch"]), map_location="cpu", weights_only=True)
        unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])

    def validate(self) -> tuple[Any, Any]:
        """Judge an epoch on val; where the last one counts, each is the best until there is another."""
        metrics, fitness = super().validate()
        if self._keep == "last" and fitness is not None:
            self.best_fitness = fitness
        return metrics, fitness

    def final_eval(self) -> None:
        """Leave the checkpoints as they are given away, and judge the best epoch once more, for its curves."""
        finish(self.wdir)
        self.validator.args.plots = self.args.plots
        self.metrics = self.validator(model=self.best)

    def _exact(self, epoch: int) -> Path:
        path: Path = self.wdir / f"exact-{epoch}.pt"
        return path

    def _end_bf16_with_the_network(self) -> None:
        # Boxes are too fine for eight bits: losses are worked out of floats. The hook is on the network that is
        # trained, not on the copy that checkpoints are written of.
        if self._bf16:
            unwrap_model(self.model).model[-1].register_forward_hook(lambda _network, _input, raw: _leave_bf16(raw))

    def _begin_epoch(self) -> None:
        # As if each epoch were the first: what is drawn and how it is altered follows from its number alone.
        seed = self.args.seed * 100_003 + self.epoch
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  # Ultralytics' transforms draw from it
        torch.manual_seed(seed)
        self.train_loader.generator.manual_seed(seed)
        self.train_loader.reset()
        self._epoch_began, self._steps = time.monotonic(), 0

    def _end_if_asked(self) -> None:
        if self._asked_to_stop:
            raise StageOverError("the training was asked to stop; give the command again, and it goes on")

    def _use_all_cores(self) -> None:
        self._end_if_asked()
        # Ultralytics limits torch to one thread on small machines, again at every epoch.
        # A training that was pinned to fewer cores uses those: more threads than cores would wait for each other.
        torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def _tell_step(self) -> None:
        self._steps += 1
        took = time.monotonic() - self._epoch_began
        left = took / self._steps * (len(self.train_loader) * (self.epochs - self.epoch) - self._steps)
        self._on_step(Step(self.epoch + 1, self.epochs, self._steps / len(self.train_loader), left))

    def _refuse_to_diverge(self) -> None:
        # Later epochs go back to the last checkpoint, three times; in the first since a start Ultralytics does not.
        if self.epoch == self.start_epoch and not all(np.isfinite(float(item)) for item in self.tloss.values()):
            raise DivergedError(
                f"the loss is not a number in epoch {self.epoch + 1}: lower the learning rate (now {self.args.lr0:g}), "
                "or look for boxes without a size"
            )

    def _tell_epoch(self) -> None:
        now = time.monotonic()
        done, began = self.epoch + 1 - self.start_epoch, self._began
        self._on_epoch(
            Epoch(
                epoch=self.epoch + 1,
                epochs=self.epochs,
                losses={name.removesuffix("_loss"): float(value) for name, value in self.tloss.items()},
                map50=float(self.metrics["metrics/mAP50(B)"]),
                map50_95=float(self.metrics["metrics/mAP50-95(B)"]),
                learning_rate=float(self.optimizer.param_groups[0]["lr"]),
                seconds=now - self._epoch_began,
                seconds_left=(now - began) / done * (self.epochs - self.epoch - 1),
                best=self.fitness == self.best_fitness,
            )
        )
        if self._deadline is not None and now > self._deadline and not self.stop:
            raise StageOverError("the time for this stage is over; give the command again, and it goes on")


def _leave_bf16(raw: Any) -> Any:  # noqa: ANN401  # what a head answers: tensors in dicts, lists and tuples
    torch.set_autocast_enabled("cpu", False)  # noqa: FBT003  # torch takes it by place
    return _floats(raw)


def _floats(raw: Any) -> Any:  # noqa: ANN401
    if isinstance(raw, torch.Tensor):
        return raw.float()
    if isinstance(raw, dict):
        return {name: _floats(part) for name, part in raw.items()}
    return type(raw)(map(_floats, raw))


def is_over(last: Path, epochs: int) -> bool:
    """Tell whether a checkpoint is a training's last one: a kill after it has cost nothing but curves.

    Parameters
    ----------
    last
        The checkpoint.
    epochs
        Of the whole training.

    Returns
    -------
    bool
        False while :func:`finish` would take away what a resumption needs.
    """
    epoch: int = torch.load(last, map_location="cpu", weights_only=False)["epoch"]  # ours
    # What was finished says -1: of a training that val has ended early, too.
    return not 0 <= epoch < epochs - 1


def finish(weights: Path) -> None:
    """Take out of a training's checkpoints what only a resumption needs; each is whole at any moment.

    Parameters
    ----------
    weights
        The folder that they lie in.
    """
    for name in ("best.pt", "last.pt"):  # «last» tells that it is over
        fresh = weights / f"{name}.new"
        strip_optimizer(weights / name, s=fresh)
        fresh.replace(weights / name)
    for path in weights.glob("exact-*.pt"):
        path.unlink()
