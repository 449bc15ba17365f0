"""Names and addresses: plausible, by small tables; some with a middle dot, some with rare characters."""

from __future__ import annotations

import random

SURNAMES = (
    "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕" * 3
    + "欧阎覃莫戚柏昝䶮"
)
GIVEN_MALE = "伟强磊军勇杰涛超明刚平辉鹏华飞鑫波斌宇浩凯健俊帆帅旭宁龙林阳建国志文海峰"
GIVEN_FEMALE = "芳娜敏静丽艳娟霞秀燕玲桂萍红梅莉兰凤洁琳云雪颖慧婷雅欣倩蕾薇佳怡晶莹"
RARE = "𬎆㛃䶮𤧛"
MINORITY = (
    "阿卜杜拉·买买提",
    "古丽娜尔·艾合买提",
    "阿依古丽·吐尔逊",
    "巴图·苏和",
    "扎西·次仁",
    "卓玛·央金",
)
ETHNIC = ("汉族",) * 40 + ("满族", "回族", "蒙古族", "朝鲜族", "壮族", "苗族")
STREETS = (
    "东湖路",
    "中山路",
    "人民路",
    "建设街",
    "解放大道",
    "学府路",
    "和平街",
    "新港路",
    "文昌巷",
    "工业大道",
)
TRADES = ("科技", "商贸", "餐饮", "建筑工程", "物流", "食品", "机械制造", "文化传播", "农业", "医药")
SCOPES = (
    "软件开发；信息系统集成服务",
    "日用百货、五金交电批发,零售",
    "餐饮服务（凭许可证经营）",
    "房屋建筑工程施工;室内装饰工程",
    "道路货物运输（依法须经批准的项目，经相关部门批准后方可开展经营活动）",
    "预包装食品销售",
    "通用设备制造,专用设备制造;机械配件销售",
    "广告设计、制作、代理",
    "谷物种植；水产养殖",
    "药品零售；医疗器械二类销售",
)
ENTITY_TYPES = ("有限责任公司", "有限责任公司(自然人独资)", "股份有限公司", "个人独资企业", "N/A")
CAPITALS = ("50(万)", "100(万)", "2,000(万)", "200(万美元)", "5（万元）", "1,080(万人民币元)", "N/A")


def person_name(rng: random.Random, male: bool, surname: str | None) -> str:
    """Return a name; a child gets its father's surname."""
    draw = rng.random()
    if surname is None and draw < 0.01:
        return rng.choice(MINORITY)
    given = GIVEN_MALE if male else GIVEN_FEMALE
    first = rng.choice(given) if draw < 0.998 else rng.choice(RARE)
    second = rng.choice(given) if draw < 0.7 else ""
    return (surname or rng.choice(SURNAMES)) + first + second


def surname_of(name: str) -> str | None:
    """Return the surname that children take; none for names with a middle dot."""
    return None if "·" in name else name[0]


def address(rng: random.Random, district: str) -> str:
    """Return a street address within a district."""
    number = rng.randrange(1, 999)
    return f"示范市{district}{rng.choice(STREETS)}{number}号{rng.randrange(1, 30)}单元{rng.randrange(101, 3300)}室"


def company_name(rng: random.Random, number: int) -> str:
    """Return a company's name; the number makes it the only one."""
    first = rng.choice(GIVEN_MALE) + rng.choice(GIVEN_FEMALE)
    return f"示范市{first}{number}{rng.choice(TRADES)}有限公司"
