"""What bases say of optimizer, schedule, epochs and batches, in the words of both generations. Next: `bases`."""

from typing import Any

Config = dict[str, Any]


def schedule(
    optimizer: Config, *, epochs: int, policy: Config, warmup: tuple[int, float] = (0, 0.0), clip: float = 0.0
) -> Config:
    """`policy` is lr_config without its warm-up: of the policies step, CosineAnnealing and poly. `warmup`: steps, and
    the share of the rate that they begin with. `clip`: longest gradient, 0 for any."""
    steps, ratio = warmup
    rising = {"warmup": "linear", "warmup_iters": steps, "warmup_ratio": ratio} if steps else {}
    rises = [{"type": "LinearLR", "start_factor": ratio, "by_epoch": False, "begin": 0, "end": steps}] if steps else []
    clipped = {"max_norm": clip, "norm_type": 2} if clip else None
    inner = {name: value for name, value in optimizer.items() if name != "paramwise_cfg"}
    outer = {name: value for name, value in optimizer.items() if name == "paramwise_cfg"}
    return {
        "optimizer": optimizer,
        "optimizer_config": {"grad_clip": clipped},
        "lr_config": policy | rising,
        "runner": {"type": "EpochBasedRunner", "max_epochs": epochs},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": inner, "clip_grad": clipped, **outer},
        "param_scheduler": [*rises, _scheduler(policy)],
        "train_cfg": {"type": "EpochBasedTrainLoop", "max_epochs": epochs},
    }


def _scheduler(policy: Config) -> Config:
    if policy["policy"] == "step":
        return {"type": "MultiStepLR", "milestones": policy["step"], "gamma": 0.1, "by_epoch": True}
    if policy["policy"] == "poly":
        return {"type": "PolyLR", "power": 1.0, "eta_min": 0.0, "by_epoch": False}
    return {"type": "CosineAnnealingLR", "eta_min": policy.get("min_lr", 0.0), "by_epoch": True}


def pictures(train_pipeline: list[Config], batch_size: int) -> Config:
    return {
        "train_pipeline": train_pipeline,
        "data": {"samples_per_gpu": batch_size, "workers_per_gpu": 2},
        "train_dataloader": {"batch_size": batch_size, "num_workers": 2},
    }


def sgd(rate: float, weight_decay: float = 1e-4, **more: Any) -> Config:
    return {"type": "SGD", "lr": rate, "momentum": 0.9, "weight_decay": weight_decay, **more}


def resnet(depth: int, **more: Any) -> Config:
    """Weights of ImageNet, as far as Luthier has them."""
    init = {"type": "Pretrained", "checkpoint": f"torchvision://resnet{depth}"}
    return {"type": "ResNet", "depth": depth, "num_stages": 4, "style": "pytorch", "init_cfg": init, **more}
